"""The service behind a real PgBouncer that shares server connections among transactions."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import relay_variables
from database_proxy import database_proxy
from factories import make_body
from flask import Flask
from processes import free_port, let_others_read, wait_until
from smtp_server import smtp_server
from test_flow import status_in

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

CONFIGURATION = """
[databases]
orders = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 3
unix_socket_dir =
logfile = {folder}/log
"""


@pytest.fixture
def pooled_url(postgres_outbox: str, tmp_path: Path) -> Iterator[str]:
    if PGBOUNCER is None:
        pytest.skip("no PgBouncer")
    port = free_port()
    file = tmp_path / "pgbouncer.ini"
    user = None
    if os.getuid() == 0:  # PgBouncer refuses to run as root
        user = "nobody"
        let_others_read(tmp_path)
        shutil.chown(tmp_path, pwd.getpwnam(user).pw_uid)
    with database_proxy(postgres_outbox) as server:  # whose Unix socket only its own user may reach
        file.write_text(CONFIGURATION.format(server=server.connection_string, port=port, folder=tmp_path))
        process = subprocess.Popen([PGBOUNCER, str(file)], user=user, stderr=subprocess.DEVNULL)
        log = tmp_path / "log"
        try:
            wait_until(lambda: log.exists() and "process up" in log.read_text())
            yield f"postgresql://anyone@127.0.0.1:{port}/orders"
        finally:
            process.terminate()
            process.wait(40)


def test_orders_are_stored_sent_and_found_behind_a_pooler(start_app: Callable[..., Flask], pooled_url: str) -> None:
    with smtp_server() as (sink, relay_port):
        app = start_app(**relay_variables(relay_port, DATABASE_URL=pooled_url))
        client = app.test_client()
        for number in range(30):
            assert client.post("/api/order-confirmation", json=make_body(order_id=f"K{number}")).status_code == 202
        assert len(sink.wait_for_orders(30, seconds=20)) == 30
        status_in(app, "K29", "sent")
        assert client.post("/api/order-confirmation/K29/resend").status_code == 202
        assert client.get("/ready").get_json()["senders"] == 1
        locks = app.extensions["orderconfirm"].database.process_locks
        assert locks.owner.startswith("pooled-") and locks.is_visible
