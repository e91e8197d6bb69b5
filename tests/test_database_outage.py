"""A PostgreSQL server that goes away while the service runs, and comes back."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import relay_variables
from database_proxy import DatabaseProxy, database_proxy
from factories import make_body
from flask import Flask
from outboxes import locked
from processes import free_port, log_lines, post, service, start, stop, wait_until, wait_until_healthy
from smtp_server import smtp_server

URL = "/api/order-confirmation"


@pytest.fixture
def proxy(postgres_outbox: str) -> Iterator[DatabaseProxy]:
    with database_proxy(postgres_outbox) as proxy:
        yield proxy


def place(app: Flask, order_id: str) -> tuple[int, str | None]:
    """Return the status and Retry-After."""
    response = app.test_client().post(URL, json=make_body(order_id=order_id))
    return response.status_code, response.headers.get("Retry-After")


def test_orders_are_refused_while_somebody_locks_the_table_and_are_not_stored_later(
    start_app: Callable[..., Flask], postgres_outbox: str
) -> None:
    app = start_app(DATABASE_URL=postgres_outbox)
    with locked(postgres_outbox), ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(place, app, f"K{number}") for number in range(8)]
        assert {future.result() for future in futures} == {(503, "10")}
    assert wait_until(lambda: place(app, "K0"), seconds=20) == (202, None)


def test_orders_are_refused_while_the_network_loses_every_packet_and_accepted_afterwards(
    start_app: Callable[..., Flask], proxy: DatabaseProxy
) -> None:
    with smtp_server() as (sink, relay_port):
        app = start_app(**relay_variables(relay_port, DATABASE_URL=proxy.url))
        assert place(app, "K0") == (202, None)
        sink.wait_for_orders(1, seconds=20)
        proxy.is_frozen = True
        status, retry_after = place(app, "K1")
        assert (status, retry_after) == (503, "10")
        proxy.is_frozen = False
        wait_until(lambda: place(app, "K1")[0] in (200, 202), seconds=30)
        assert sink.wait_for_orders(2, seconds=20).keys() == {"K0", "K1"}


def test_cut_connections_cost_no_order(start_app: Callable[..., Flask], proxy: DatabaseProxy) -> None:
    with smtp_server() as (sink, relay_port):
        app = start_app(**relay_variables(relay_port, DATABASE_URL=proxy.url))
        for number in range(5):
            wait_until(lambda number=number: place(app, f"K{number}")[0] in (200, 202))  # type: ignore[misc]
            proxy.cut()
        assert sink.wait_for_orders(5, seconds=20).keys() == {f"K{number}" for number in range(5)}


def test_a_service_survives_an_outage_of_the_server_and_loses_nothing(tmp_path: Path, proxy: DatabaseProxy) -> None:
    port, accepted, statuses = free_port(), [], Counter[int]()
    ended = threading.Event()

    def shop() -> None:
        number = 0
        while not ended.is_set():
            status = post(port, f"K{number}")
            statuses[status] += 1
            if status == 202:
                accepted.append(f"K{number}")
            number += 1

    with (
        smtp_server() as (sink, relay_port),
        service(tmp_path, port, relay_port, DATABASE_URL=proxy.url) as process,
        ThreadPoolExecutor(1) as threads,
    ):
        shopping = threads.submit(shop)
        wait_until(lambda: len(accepted) >= 50, seconds=30)
        proxy.stop()
        wait_until(lambda: statuses[503] >= 20, seconds=30)
        proxy.start()
        count = len(accepted)
        wait_until(lambda: len(accepted) >= count + 50, seconds=30)
        ended.set()
        shopping.result()
        copies = sink.wait_for_orders(len(accepted), seconds=60)
        assert process.poll() is None
        assert copies.keys() >= set(accepted)
    assert statuses.keys() == {202, 503}


def test_a_first_start_waits_for_the_server_and_reports_it(tmp_path: Path, proxy: DatabaseProxy) -> None:
    port = free_port()
    proxy.stop()
    process = start(tmp_path, port, free_port(), DATABASE_URL=proxy.url)
    try:
        [line, *_] = wait_until(lambda: log_lines(tmp_path, "the database cannot be reached; trying again"), seconds=30)
        assert "cannot be opened" in line["reason"]
        proxy.start()
        wait_until_healthy(port, process)
        assert post(port, "K0") == 202
    finally:
        stop(process)
    assert not any("trace" in line for line in log_lines(tmp_path))


def test_a_first_start_that_waits_for_the_server_can_be_stopped(tmp_path: Path, proxy: DatabaseProxy) -> None:
    proxy.stop()
    process = start(tmp_path, free_port(), free_port(), DATABASE_URL=proxy.url)
    wait_until(lambda: log_lines(tmp_path, "the database cannot be reached; trying again"), seconds=30)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        stop(process)
        raise
