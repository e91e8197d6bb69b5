"""A PostgreSQL server that demands TLS and a password, and passwords that change."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import trustme
from factories import make_body
from flask import Flask
from processes import free_port, let_others_read, wait_until

from benchmarks.postgres import SERVER_USERS, installed_programs, postgres_server
from orderconfirm.errors import OutboxUnavailable
from orderconfirm.outbox.database import Database

ACCESS = """
local all all trust
hostssl all orders 127.0.0.1/32 scram-sha-256
hostnossl all all all reject
"""


@dataclass
class Server:
    """The server's address, its CA, the file with the current password, and the URL of its superuser."""

    port: int
    ca_file: str
    password_file: Path
    admin_url: str

    def url(self, mode: str = "verify-full") -> str:
        return f"postgresql://orders@localhost:{self.port}/orders?sslmode={mode}&sslrootcert={self.ca_file}"

    def change_password(self, password: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as session:
            session.execute(f"ALTER ROLE orders PASSWORD '{password}'")

    def cut_connections(self) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orders'")


@pytest.fixture
def server(authority: trustme.CA, ca_file: str, tmp_path: Path) -> Iterator[Server]:
    files = tmp_path / "server"
    files.mkdir()
    (files / "access").write_text(ACCESS)
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(files / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(files / "cert.pem"))
    (files / "key.pem").chmod(0o600)
    if os.getuid() == 0:
        _give_to_server(files)
    port = free_port()
    options = (
        f"-c hba_file={files}/access -c ssl=on -c ssl_cert_file={files}/cert.pem -c ssl_key_file={files}/key.pem"
        f" -c listen_addresses=127.0.0.1 -c port={port} -c fsync=off"
    )
    try:
        with postgres_server(installed_programs()[0], options) as socket_url:
            admin_url = f"{socket_url}&port={port}"
            with psycopg.connect(admin_url, autocommit=True) as session:
                session.execute("CREATE ROLE orders LOGIN PASSWORD 'first'")
                session.execute("CREATE DATABASE orders OWNER orders")
            password_file = tmp_path / "password"
            password_file.write_text("first\n")
            yield Server(port, ca_file, password_file, admin_url)
    except RuntimeError as exc:
        if "not supported by this build" in str(exc):
            pytest.skip("this PostgreSQL is built without TLS")
        raise


def _give_to_server(folder: Path) -> None:
    """Let the user that runs the server read `folder`."""
    [user] = [name for name in SERVER_USERS if name in {each.pw_name for each in pwd.getpwall()}][:1]
    for each in (folder, *folder.iterdir()):
        shutil.chown(each, user)
    let_others_read(folder)


def place(app: Flask, order_id: str) -> int:
    return app.test_client().post("/api/order-confirmation", json=make_body(order_id=order_id)).status_code


def test_a_changed_password_needs_no_restart(start_app: Callable[..., Flask], server: Server) -> None:
    app = start_app(DATABASE_URL=server.url(), DATABASE_PASSWORD_FILE=str(server.password_file))
    assert place(app, "K0") == 202
    server.change_password("second")
    server.password_file.write_text("second\n")
    server.cut_connections()
    wait_until(lambda: place(app, "K1") in (200, 202), seconds=20)
    assert app.test_client().get("/ready").status_code == 200


def test_a_server_with_an_unknown_certificate_is_refused(server: Server, tmp_path: Path) -> None:
    other_ca = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other_ca))
    server.ca_file = str(other_ca)
    with pytest.raises(OutboxUnavailable, match="certificate verify failed"):
        Database(server.url(), str(server.password_file)).open()


def test_a_server_with_a_certificate_of_another_name_is_refused(server: Server) -> None:
    url = server.url().replace("@localhost", "@127.0.0.1")
    with pytest.raises(OutboxUnavailable, match="does not match host name"):
        Database(url, str(server.password_file)).open()


def test_a_wrong_password_is_reported_without_it(server: Server) -> None:
    server.password_file.write_text("wr0ng-secret")
    with pytest.raises(OutboxUnavailable, match="authentication failed") as caught:
        Database(server.url(), str(server.password_file)).open()
    assert "wr0ng-secret" not in str(caught.value)


def test_a_missing_password_file_is_reported(server: Server) -> None:
    server.password_file.unlink()
    with pytest.raises(OutboxUnavailable, match="DATABASE_PASSWORD_FILE cannot be read: FileNotFoundError"):
        Database(server.url(), str(server.password_file)).open()
