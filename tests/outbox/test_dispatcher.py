"""The dispatcher with a real database and a real SMTP server: claims ahead, what is given back, kept outcomes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from outboxes import locked
from processes import wait_until
from smtp_server import Sink, smtp_server
from sqlalchemy import event

from orderconfirm import create_app
from orderconfirm.errors import RelayTrouble
from orderconfirm.models import OutboxEntry, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.dispatcher import RECORD_RETRY_SECONDS, Dispatcher
from orderconfirm.outbox.relay_account import MAILS_PER_CONNECTION
from orderconfirm.server.roles import RemoteSender
from orderconfirm.settings import Settings


@dataclass
class Outbox:
    """An open outbox, its dispatcher with one connection, which is not started, and the relay."""

    app: Flask
    database: Database
    dispatcher: Dispatcher
    sink: Sink

    def place(self, *names: str) -> None:
        for name in names:
            answer = self.app.test_client().post("/api/order-confirmation", json=make_body(order_id=name))
            assert answer.status_code == 202
        self.dispatcher.wake()

    def entry(self, name: str) -> OutboxEntry:
        entry = OutboxAdmin(self.database).find("default", name)
        assert entry is not None
        return entry

    def state(self, name: str) -> State:
        return self.entry(name).state

    def events(self, name: str) -> list[str]:
        return [entry.event for entry in self.entry(name).history]

    def begun(self) -> set[int] | None:
        locks = self.database.process_locks
        return locks.begun_by(locks.owner)

    def tokens(self, name: str) -> set[str]:
        """Return the tokens of the dispatcher's leases of an order's mail."""
        return {mail.lease_token for mail, _ in list(self.dispatcher._leased.values()) if mail.order_id == name}

    def limit(self, **limits: float) -> None:
        self.dispatcher._limits = replace(self.dispatcher._limits, **limits)  # type: ignore[arg-type]

    def run(self, sql: str) -> None:
        self.database.write(lambda connection: connection.exec_driver_sql(sql).close())

    def hold_first_and_claim_second(self) -> None:
        """Let the relay hold the mail of K0 while K1 is leased; K2 comes later."""
        self.sink.held_at = "MAIL"
        self.place("K0")
        self.dispatcher.start()
        assert self.sink.reached.wait(40)
        self.place("K1")
        wait_until(lambda: self.state("K1") is State.SENDING)
        self.place("K2")


@contextmanager
def outbox_on(url: str, **variables: str) -> Iterator[Outbox]:
    with smtp_server() as (sink, port):
        relay = relay_variables(port, DATABASE_URL=url, MAIL_MAX_CONNECTIONS="1", STOP_TIMEOUT="25", **variables)
        app = create_app(Settings.from_env({"MAIL_TIMEOUT": "10", **relay}))
        runtime = app.extensions["orderconfirm"]
        runtime.start(remote_sender=RemoteSender())
        dispatcher = runtime._make_dispatcher()
        yield Outbox(app, runtime.database, dispatcher, sink)
        sink.held_at = None
        dispatcher.stop()
        runtime.stop()


@pytest.fixture
def outbox(url: str) -> Iterator[Outbox]:
    with outbox_on(url) as outbox:
        yield outbox


def test_a_few_more_mails_than_are_being_sent_are_leased_for_each_connection(outbox: Outbox) -> None:
    outbox.hold_first_and_claim_second()
    names = [f"K{number}" for number in range(MAILS_PER_CONNECTION + 2)]
    for name in names[3:]:
        outbox.place(name)
    wait_until(lambda: outbox.dispatcher._accounts[0]._threads.waiting == MAILS_PER_CONNECTION - 1)
    states = [outbox.state(name) for name in names]
    assert states == [State.SENDING] * MAILS_PER_CONNECTION + [State.QUEUED] * 2
    outbox.sink.held_at = None
    assert outbox.sink.wait_for_orders(len(names), seconds=10) == Counter(names)


def test_only_the_mail_that_is_being_sent_is_noted_as_begun(outbox: Outbox) -> None:
    outbox.hold_first_and_claim_second()
    is_known = outbox.database.dialect == "sqlite"
    assert outbox.begun() == ({outbox.entry("K0").id} if is_known else None)
    outbox.sink.held_at = None
    wait_until(lambda: outbox.state("K2") is State.SENT)
    wait_until(lambda: outbox.begun() == (set() if is_known else None))


def test_a_stop_gives_back_what_is_not_begun_and_drains_the_rest(outbox: Outbox) -> None:
    outbox.hold_first_and_claim_second()
    with ThreadPoolExecutor(1) as thread:
        stopping = thread.submit(outbox.dispatcher.stop)
        wait_until(lambda: outbox.state("K1") is State.QUEUED)
        assert not stopping.done()
        assert outbox.state("K0") is State.SENDING
        outbox.sink.held_at = None
        stopping.result(15)
    assert outbox.state("K0") is State.SENT
    assert (outbox.entry("K1").attempts, outbox.entry("K1").possible_copies) == (0, 0)
    assert outbox.events("K1") == ["released"]
    assert len(outbox.sink.mails) == 1


def test_mails_that_the_end_of_the_drain_interrupts_are_queued_again(outbox: Outbox) -> None:
    outbox.limit(drain_seconds=2)
    outbox.hold_first_and_claim_second()
    outbox.dispatcher.stop()
    for name in ("K0", "K1", "K2"):
        entry = outbox.entry(name)
        assert (entry.state, entry.attempts, entry.possible_copies) == (State.QUEUED, 0, 0)


def test_mails_that_are_not_begun_are_given_back_while_the_relay_is_paused(outbox: Outbox) -> None:
    outbox.hold_first_and_claim_second()
    outbox.dispatcher._accounts[0].breaker.trip(RelayTrouble("connect", "refused"), time.monotonic())
    outbox.dispatcher.wake()
    wait_until(lambda: outbox.state("K1") is State.QUEUED)
    assert outbox.events("K1") == ["released"]
    outbox.sink.held_at = None
    assert outbox.sink.wait_for_orders(3, seconds=15) == Counter(["K0", "K1", "K2"])
    wait_until(lambda: {outbox.state(name) for name in ("K0", "K1", "K2")} == {State.SENT})
    assert {outbox.entry(name).attempts for name in ("K0", "K1", "K2")} == {1}


def test_a_mail_whose_lease_is_too_old_when_its_turn_comes_is_claimed_again(outbox: Outbox) -> None:
    outbox.sink.held_at = "MAIL"
    outbox.place("K0")
    outbox.dispatcher.start()
    assert outbox.sink.reached.wait(40)
    limits = outbox.dispatcher._limits
    outbox.limit(lease_seconds=limits.send_seconds)  # nothing is left to wait
    outbox.place("K1")
    wait_until(lambda: outbox.dispatcher._accounts[0]._threads.waiting == 1)
    outbox.dispatcher._limits = limits
    outbox.sink.held_at = None
    wait_until(lambda: outbox.state("K1") is State.SENT)
    # On a busy machine its second turn may come too late as well.
    *released, sent = outbox.events("K1")
    assert (set(released), sent) == ({"released"}, "sent")
    assert (outbox.entry("K1").attempts, len(outbox.sink.mails)) == (1, 2)


def test_a_mail_is_claimed_again_when_the_one_before_it_used_up_its_time(outbox: Outbox) -> None:
    outbox.limit(lease_seconds=outbox.dispatcher._limits.send_seconds + 1)
    outbox.sink.held_at = "MAIL"
    outbox.place("K0", "K1")
    outbox.dispatcher.start()
    assert outbox.sink.reached.wait(40)
    assert outbox.dispatcher._accounts[0]._threads.waiting == 0  # K1 is rendered
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end)
    outbox.sink.held_at = None
    wait_until(lambda: outbox.state("K1") is State.SENT)
    assert outbox.events("K0") == ["sent"]
    # On a busy machine its second turn may come too late as well.
    *released, sent = outbox.events("K1")
    assert (set(released), sent) == ({"released"}, "sent")
    assert (outbox.entry("K1").attempts, len(outbox.sink.mails)) == (1, 2)


def test_outcomes_are_kept_while_the_database_is_locked_and_recorded_afterwards(url: str, outbox: Outbox) -> None:
    outbox.sink.held_at = "DOT"
    outbox.place("K0")
    outbox.dispatcher.start()
    assert outbox.sink.reached.wait(40)
    outbox.database._writer._timeout = 0.2
    with locked(url):
        outbox.sink.held_at = None
        wait_until(lambda: outbox.dispatcher._is_failing)
        assert outbox.dispatcher._leased
    outbox.database._writer._timeout = 10
    wait_until(lambda: outbox.state("K0") is State.SENT)
    outbox.place("K1")
    wait_until(lambda: outbox.state("K1") is State.SENT)
    entries = [outbox.entry(name) for name in ("K0", "K1")]
    assert [(entry.attempts, entry.possible_copies) for entry in entries] == [(1, 0), (1, 0)]
    assert len(outbox.sink.mails) == 2


def test_a_stop_waits_for_a_locked_database_to_record_an_outcome(url: str, outbox: Outbox) -> None:
    outbox.sink.held_at = "DOT"
    outbox.place("K0")
    outbox.dispatcher.start()
    assert outbox.sink.reached.wait(40)
    outbox.database._writer._timeout = 0.2
    with ThreadPoolExecutor(1) as thread:
        with locked(url):
            outbox.sink.held_at = None
            wait_until(lambda: outbox.dispatcher._is_failing)
            stopping = thread.submit(outbox.dispatcher.stop)
            wait_until(outbox.dispatcher._stopping.is_set)
            assert not stopping.done()
        stopping.result(15)
    assert outbox.state("K0") is State.SENT


REFUSED = "the database refused a write"
FAILING = {
    "sqlite": "CREATE TRIGGER broken BEFORE UPDATE ON outbox WHEN new.state = 'sent' AND new.order_id = 'K1'"
    " BEGIN SELECT RAISE(ABORT, 'broken'); END",
    "postgresql": "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;"
    " CREATE TRIGGER broken BEFORE UPDATE ON outbox FOR EACH ROW"
    " WHEN (new.state = 'sent' AND new.order_id = 'K1') EXECUTE FUNCTION fail()",
}
MENDED = {"sqlite": "DROP TRIGGER broken", "postgresql": "DROP TRIGGER broken ON outbox; DROP FUNCTION fail"}


def test_an_outcome_that_cannot_be_recorded_does_not_hold_up_the_others(outbox: Outbox, log: list[str]) -> None:
    outbox.run(FAILING[outbox.database.dialect])
    outbox.place("K0", "K1", "K2")
    outbox.dispatcher.start()
    try:
        wait_until(lambda: outbox.state("K0") is outbox.state("K2") is State.SENT)
        began, tries = time.monotonic(), log.count(REFUSED)
        wait_until(lambda: log.count(REFUSED) == tries + 4)
        # Not in every round. A look at the other senders, every two seconds, causes one more try.
        assert time.monotonic() - began > RECORD_RETRY_SECONDS
        assert outbox.state("K1") is State.SENDING
    finally:
        outbox.run(MENDED[outbox.database.dialect])
    wait_until(lambda: outbox.state("K1") is State.SENT)
    assert outbox.sink.wait_for_orders(3, 1) == Counter(["K0", "K1", "K2"])
    assert set(log) == {REFUSED}


@contextmanager
def stalled_commits(outbox: Outbox) -> Iterator[threading.Event]:
    """Let commits wait, and be unconfirmed, until the end of the block. The event is set when one waits."""
    is_stalled, may_end = threading.Event(), threading.Event()

    def stall(_: Any) -> None:
        is_stalled.set()
        may_end.wait(40)

    outbox.dispatcher._maintenance._next_check = float("inf")
    outbox.dispatcher._take_shares = lambda now: None  # whose write would wait instead
    outbox.database._writer._timeout = 0.2
    event.listen(outbox.database._writing, "commit", stall)
    try:
        yield is_stalled
    finally:
        may_end.set()
        outbox.database._writer._timeout = 10


def test_a_mail_that_an_unconfirmed_write_has_given_back_is_claimed_again(outbox: Outbox, log: list[str]) -> None:
    outbox.hold_first_and_claim_second()
    before = outbox.tokens("K1")
    with stalled_commits(outbox) as is_stalled:
        outbox.dispatcher._accounts[0].breaker.trip(RelayTrouble("connect", "refused"), time.monotonic())
        outbox.dispatcher.wake()
        assert is_stalled.wait(40)
        wait_until(lambda: any(each.was_unconfirmed for each in outbox.dispatcher._outcomes), seconds=30)
        outbox.dispatcher._accounts[0].breaker.reset(time.monotonic())
    wait_until(lambda: outbox.tokens("K1") - before)
    outbox.sink.held_at = None
    assert outbox.sink.wait_for_orders(3, seconds=10) == Counter(["K0", "K1", "K2"])
    wait_until(lambda: not outbox.dispatcher._leased)
    assert outbox.events("K1") == ["released", "sent"]
    assert [line for line in log if "lease" in line] == []
