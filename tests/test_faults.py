"""A whole service against relays, templates and disks that misbehave: nothing is lost, and nobody is harassed."""

from __future__ import annotations

import random
import sqlite3
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from processes import wait_until
from smtp_server import DROP, HANG, PASSWORD, USER, Sink, orders_of, smtp_server
from sqlalchemy.engine import make_url

from orderconfirm import create_app
from orderconfirm.errors import OutboxUnavailable
from orderconfirm.settings import Settings

URL = "/api/order-confirmation"
StartApp = Callable[..., Flask]


def place(app: Flask, name: str, **changes: Any) -> int:
    return app.test_client().post(URL, json=make_body(order_id=name, **changes)).status_code


def place_all(app: Flask, names: list[str]) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda name: place(app, name), names)) == {202}


def status(app: Flask, name: str) -> dict[str, Any]:
    told: dict[str, Any] = app.test_client().get(f"{URL}/{name}").get_json()
    return told


def not_ready(app: Flask) -> str | None:
    """Why /ready says that the service is unavailable; None when it is ready."""
    answer = app.test_client().get("/ready")
    assert (answer.status_code == 503) == (answer.get_json()["status"] == "unavailable")
    reason: str | None = answer.get_json()["reason"]
    return reason


def test_hundreds_of_orders_through_a_relay_with_every_fault(start_app: StartApp) -> None:
    """5 % 451, 5 % "too many emails per second", cut after each 20th dot, silent at each 100th, away for 4 s."""
    chance = random.Random(2025)

    def fault(stage: str, number: int) -> str | None:
        if stage == "RCPT" and number % 100 == 0:
            return HANG
        if stage == "RCPT" and chance.random() < 0.05:
            return "451 4.3.0 Try again later"
        if stage == "DATA" and number % 20 == 0:
            return DROP
        if stage == "DATA" and chance.random() < 0.05:
            return "550 5.7.0 Requested action not taken: too many emails per second"
        return None

    sink = Sink()
    sink.fault = fault
    names = [f"K{number}" for number in range(400)]
    with ExitStack() as first:
        _, port = first.enter_context(smtp_server(sink=sink))
        app = start_app(
            **relay_variables(
                port, MAIL_TIMEOUT="1", MAIL_RETRY_DELAYS="0.3,1", MAIL_UNKNOWN_OUTCOME_DELAY="1", LOG_LEVEL="ERROR"
            )
        )
        place_all(app, names)
        sink.wait_for_orders(150, seconds=60)
        first.close()
        time.sleep(4)
        with smtp_server(sink=sink, port=port):
            sink.wait_for_orders(400, seconds=120)
            wait_until(lambda: app.test_client().get("/ready").get_json()["mails"] == {}, seconds=60)
    copies = orders_of(sink.mails)
    dropped = orders_of(sink.dropped)
    assert set(copies) == set(names)
    assert dropped.total() > 10
    assert copies.total() - 400 <= dropped.total()
    assert {name for name in copies if copies[name] > 1} <= set(dropped)


def test_a_wrong_password_is_tried_once_a_minute_and_then_everything_arrives(
    start_app: StartApp, server_tls: ssl.SSLContext, ca_file: str, log: list[str]
) -> None:
    names = [f"K{number}" for number in range(100)]
    with smtp_server(server_tls) as (sink, port):
        sink.password = "another"
        app = start_app(
            MAIL_SERVER="localhost",
            MAIL_PORT=str(port),
            MAIL_USERNAME=USER,
            MAIL_PASSWORD=PASSWORD,
            MAIL_CA_FILE=ca_file,
            EMAIL_SENDER="orders@acme.example",
            MAIL_LOGIN_PAUSE="1",  # a minute
        )
        began = time.monotonic()
        place_all(app, names)
        time.sleep(3)  # three minutes
        tries, minutes = len(sink.logins), time.monotonic() - began
        assert 2 <= tries <= minutes + 1
        assert log == ["the relay is paused"]
        ready = app.test_client().get("/ready")
        assert (ready.status_code, ready.get_json()["relay"]) == (200, "paused")
        assert "orderconfirm_relay_paused 1.0" in app.test_client().get("/metrics").get_data(as_text=True)
        sink.password = PASSWORD
        assert sink.wait_for_orders(100, seconds=15) == Counter(names)
        wait_until(lambda: {status(app, name)["state"] for name in names} == {"sent"})
        assert {status(app, name)["attempts"] for name in names} == {1}


def test_an_order_that_breaks_a_template_fails_alone(
    start_app: StartApp, sink: tuple[Sink, int], tmp_path: Path
) -> None:
    kept, port = sink
    (tmp_path / "order_confirmation.txt").write_text(
        "Order {{ order.number }}\n{{ 1 // (order.customer_name != 'Bobby Tables') }}"
    )
    app = start_app(**relay_variables(port, TEMPLATES_DIR=str(tmp_path)))
    for number in range(9):
        name = "Bobby Tables" if number == 4 else "Jane"
        place(app, f"K{number}", customer={"name": name, "email": "jane@example.com"})
    copies = kept.wait_for_orders(8, seconds=10)
    assert copies == Counter(f"K{number}" for number in range(9) if number != 4)
    failed = wait_until(lambda: (told := status(app, "K4"))["state"] == "failed" and told)
    assert failed["reason"].startswith("order_confirmation.txt, line 2: ")
    assert "by zero" in failed["reason"]


def test_a_damaged_row_fails_alone(start_app: StartApp, tmp_path: Path) -> None:
    with smtp_server() as (kept, port):
        app = start_app(**relay_variables(port, MAIL_MAX_CONNECTIONS="1"))
        kept.held_at = "MAIL"
        for number in range(6):
            place(app, f"K{number}")
        assert kept.reached.wait(40)
        # The first four may be claimed by now.
        database = sqlite3.connect(tmp_path / "outbox.db")
        database.execute("UPDATE outbox SET payload = '{\"sent\"' WHERE order_id = 'K5'")
        database.commit()
        database.close()
        kept.held_at = None
        assert kept.wait_for_orders(5, seconds=10) == Counter([f"K{number}" for number in range(5)])
        failed = wait_until(lambda: (told := status(app, "K5"))["state"] == "failed" and told)
        assert "the stored order cannot be read" in failed["reason"]


def test_a_full_disk_answers_503_and_loses_nothing(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    kept, port = sink
    kept.fault = lambda stage, number: "451 4.3.0 not now" if stage == "MAIL" and not is_free.is_set() else None
    is_free = threading.Event()
    app = start_app(**relay_variables(port, MAIL_RETRY_DELAYS="0.2"))
    pages = app.extensions["orderconfirm"].database

    def limit(count: int) -> None:
        pages.write(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={count}").close())

    limit(40)
    accepted, refused = [], []
    for number in range(200):
        answer = app.test_client().post(URL, json=make_body(order_id=f"K{number}", notes="n" * 1000))
        (accepted if answer.status_code == 202 else refused).append((f"K{number}", answer))
    assert accepted and refused
    assert {answer.status_code for _, answer in refused} == {503}
    assert refused[0][1].headers["Retry-After"] == "10"
    assert refused[0][1].get_json()["type"] == "urn:orderconfirm:problem:outbox-unavailable"
    assert not_ready(app) == "database or disk is full"
    limit(1_000_000)
    is_free.set()
    assert place(app, refused[0][0], notes="n" * 1000) == 202
    assert not_ready(app) is None
    copies = kept.wait_for_orders(len(accepted) + 1, seconds=20)
    assert copies == Counter([name for name, _ in accepted] + [refused[0][0]])


def test_a_full_outbox_answers_503_until_there_is_room(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    kept, port = sink
    kept.held_at = "MAIL"
    app = start_app(**relay_variables(port, OUTBOX_MAX_PENDING="5"))
    assert [place(app, f"K{number}") for number in range(6)] == [202] * 5 + [503]
    told = app.test_client().post(URL, json=make_body(order_id="K6"))
    assert (told.headers["Retry-After"], told.get_json()["type"]) == ("60", "urn:orderconfirm:problem:outbox-full")
    assert place(app, "K0") == 200
    assert "OUTBOX_MAX_PENDING" in str(not_ready(app))
    app.extensions["orderconfirm"]._queue._capacity.note_acceptance()  # as if the last refusal were long ago
    assert not_ready(app) is None
    told = app.test_client().get("/ready").get_json()
    assert (told["outbox"], told["pending"], told["max_pending"]) == ("full", 5, 5)
    assert "The outbox is full: 5 of at most 5 mails wait" in app.test_client().get("/outbox").get_data(as_text=True)
    kept.held_at = None
    kept.wait_for_orders(5, seconds=10)
    wait_until(lambda: place(app, "K5") == 202, seconds=10)
    assert not_ready(app) is None


def test_a_locked_database_makes_orders_wait_and_mails_too(
    start_app: StartApp, sink: tuple[Sink, int], tmp_path: Path
) -> None:
    kept, port = sink
    app = start_app(**relay_variables(port))
    place(app, "K0")
    kept.wait_for(1)
    lock = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(place, app, "K1")
        time.sleep(1.5)
        assert not answer.done()
        lock.execute("ROLLBACK")
        assert answer.result(40) == 202
    lock.close()
    assert kept.wait_for_orders(2, seconds=10) == Counter(["K0", "K1"])


def test_an_outcome_is_kept_in_mind_while_the_database_cannot_take_it(
    start_app: StartApp, sink: tuple[Sink, int], tmp_path: Path
) -> None:
    kept, port = sink
    app = start_app(**relay_variables(port))
    database = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    database.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON outbox WHEN new.state = 'sent'"
        " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    place(app, "K0")
    kept.wait_for(1)
    time.sleep(1)
    assert status(app, "K0")["state"] == "sending"
    database.execute("DROP TRIGGER full")
    database.close()
    told = wait_until(lambda: (told := status(app, "K0"))["state"] == "sent" and told)
    assert (told["possible_copies"], len(kept.mails)) == (0, 1)


def test_a_postgresql_that_goes_away_comes_back_to_the_same_service(
    start_app: StartApp, sink: tuple[Sink, int], postgres_outbox: str
) -> None:
    kept, port = sink
    app = start_app(**relay_variables(port, DATABASE_URL=postgres_outbox))
    place(app, "K0")
    kept.wait_for(1)
    name = make_url(postgres_outbox).database
    with psycopg.connect(postgres_outbox, dbname="template1", autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        administrator.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert place(app, "K1") == 503
        assert app.test_client().get("/ready").status_code == 503
        time.sleep(2.5)
        administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert place(app, "K1") == 202
    assert kept.wait_for_orders(2, seconds=15) == Counter(["K0", "K1"])


def test_a_postgresql_that_is_away_at_the_start_is_waited_for(
    sink: tuple[Sink, int], postgres_outbox: str, log: list[str]
) -> None:
    kept, port = sink
    app = create_app(Settings.from_env(relay_variables(port, DATABASE_URL=postgres_outbox)))
    runtime = app.extensions["orderconfirm"]
    name = make_url(postgres_outbox).database
    with psycopg.connect(postgres_outbox, dbname="template1", autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        with pytest.raises(OutboxUnavailable):
            runtime.start()
        runtime.start(keeps_trying=True)
        try:
            assert place(app, "K0") == 503
            assert app.test_client().get(URL + "s").status_code == 503
            assert app.test_client().get("/ready").status_code == 503
            administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            wait_until(lambda: app.test_client().get("/ready").status_code == 200, seconds=15)
            assert place(app, "K0") == 202
            kept.wait_for_orders(1, seconds=15)
            assert log.count("the outbox is open") == 1
        finally:
            administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            runtime.stop()


def test_too_many_connections_means_fewer_of_them(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    kept, port = sink
    kept.most_connections = 3
    names = [f"K{number}" for number in range(60)]
    app = start_app(**relay_variables(port))
    place_all(app, names)
    assert kept.wait_for_orders(60, seconds=20) == Counter(names)
    assert 1 <= kept.turned_away < 30
    wait_until(lambda: {status(app, name)["state"] for name in names} == {"sent"})
    assert {status(app, name)["attempts"] for name in names} == {1}


def test_a_rate_limit_holds_over_all_connections(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    kept, port = sink
    times: list[float] = []

    def note(stage: str, number: int) -> str | None:
        if stage == "MAIL":
            times.append(time.monotonic())
        return None

    kept.fault = note
    app = start_app(**relay_variables(port, MAIL_RATE_LIMIT="4/1s"))
    place_all(app, [f"K{number}" for number in range(16)])
    kept.wait_for_orders(16, seconds=20)
    times.sort()
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[4:], strict=False))


#: One of each kind. tests/smtp/test_replies.py has all.
DENIALS = {
    "554 5.7.1 <{}>: Recipient address rejected: Access denied": "RCPT",
    "454 4.7.1 <{}>: Relay access denied": "RCPT",
    "554 Message rejected: Email address is not verified. The following identities failed the check": "DATA",
}


@pytest.mark.parametrize("reply", DENIALS)
def test_a_relay_that_denies_everyone_is_paused_and_no_order_pays_for_it(
    start_app: StartApp, sink: tuple[Sink, int], log: list[str], reply: str
) -> None:
    kept, port = sink
    kept.fault = lambda stage, number: reply.format(f"{number}@example.com") if stage == DENIALS[reply] else None
    app = start_app(**relay_variables(port, MAIL_LOGIN_PAUSE="1", MAIL_RETRY_DELAYS="0.1"))
    names = [f"K{number}" for number in range(20)]
    for name in names:
        place(app, name, customer={"name": "Jane", "email": f"{name}@example.com"})
    wait_until(lambda: app.test_client().get("/ready").get_json()["relay"] == "paused")
    tried = kept.begun
    wait_until(lambda: kept.begun >= tried + 3)  # one probe each second
    told = [status(app, name) for name in names]
    assert {(each["state"], each["attempts"]) for each in told if each["state"] != "sending"} == {("queued", 0)}
    assert log == ["the relay is paused"]
    assert kept.begun < 20
    kept.fault = lambda stage, number: None
    assert kept.wait_for_orders(20, seconds=15) == Counter(names)
    wait_until(lambda: {(status(app, name)["state"], status(app, name)["attempts"]) for name in names} == {("sent", 1)})
    assert log == ["the relay is paused", "the relay accepts mail again"]


@pytest.mark.parametrize(
    "reply",
    [
        "554 5.7.1 <K0@example.com>: Recipient address rejected: Access denied",
        "552 Message would exceed quota",
    ],
)
def test_a_recipient_who_alone_is_refused_fails_alone(
    start_app: StartApp, sink: tuple[Sink, int], log: list[str], reply: str
) -> None:
    kept, port = sink
    kept.refused["K0@example.com"] = reply
    app = start_app(**relay_variables(port, MAIL_RETRY_DELAYS="0.2"))
    names = count()

    def place_another_and_look() -> dict[str, Any] | None:
        name = f"K{next(names)}"
        assert place(app, name, customer={"name": "Jane", "email": f"{name}@example.com"}) == 202
        kept.wait_for(int(name[1:]))
        told = status(app, "K0")
        return told if told["state"] == "failed" else None

    failed = wait_until(place_another_and_look)
    assert failed["reason"].startswith(f"rcpt: {reply.partition('<')[0]}")
    assert "K0" not in orders_of(kept.mails)
    assert "the relay is paused" not in log


@pytest.mark.parametrize(
    "reply", ["450 4.7.1 Error: too much mail from 127.0.0.1", "550 5.7.1 rate limit exceeded, try again later"]
)
def test_a_relay_that_wants_less_mail_gets_less_and_no_order_pays_for_it(
    start_app: StartApp, sink: tuple[Sink, int], log: list[str], reply: str
) -> None:
    kept, port = sink
    taken: deque[float] = deque([0.0] * 10, maxlen=10)
    refused = []

    def limit(stage: str, number: int) -> str | None:
        """Ten mails a second."""
        if stage != "RCPT":
            return None
        now = time.monotonic()
        if now - taken[0] < 1:
            refused.append(number)
            return reply
        taken.append(now)
        return None

    kept.fault = limit
    app = start_app(**relay_variables(port))
    names = [f"K{number}" for number in range(40)]
    place_all(app, names)
    assert kept.wait_for_orders(40, seconds=40) == Counter(names)
    wait_until(lambda: {(status(app, name)["state"], status(app, name)["attempts"]) for name in names} == {("sent", 1)})
    assert log == ["the relay asks to slow down"]
    assert len(refused) < 80
