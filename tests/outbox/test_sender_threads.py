"""The sender threads with the real attempt runner, in front of a relay that answers when the test lets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from processes import wait_until

from orderconfirm.errors import DeliveryFailure, RelayTrouble, TemplateError, TryLater
from orderconfirm.models import ClaimedMail, RelayReply, State
from orderconfirm.outbox.attempts import AttemptRunner
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.file_locks import FileLocks
from orderconfirm.outbox.leases import FinishedAttempt
from orderconfirm.outbox.retry import EXPIRED, RELEASED, SENT, Policy
from orderconfirm.outbox.sender_threads import SenderThreads
from orderconfirm.outbox.throttle import RateLimiter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Nothing is too late before this moment.
LATER = float("inf")


def mail(number: int, send_before: datetime | None = None) -> ClaimedMail:
    return ClaimedMail(
        number, "shop", f"K{number}", f"<{number}@x>", "{}", NOW, None, NOW, send_before, 0, 0, "token", "a@example.com"
    )


class Relay:
    """A mail sender whose messages are the mails' ids. It answers once `may_answer` is set, at first at once."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.failures: dict[int, Exception] = {}
        self.unrenderable: set[int] = set()
        self.sends: list[tuple[int, int | None]] = []
        self.abandoned: list[int] = []

    def prepare(self, mail: ClaimedMail) -> int:
        if mail.id in self.unrenderable:
            raise TemplateError("order.txt, line 1: broken")
        return mail.id

    def send(self, message: int, following: int | None = None) -> RelayReply:
        self.sends.append((message, following))
        assert self.may_answer.wait(40)
        if failure := self.failures.get(message):
            raise failure
        return RelayReply(250, "Ok")

    def abandon(self, message: int) -> None:
        self.abandoned.append(message)

    def advise(self, failure: DeliveryFailure) -> str:
        return "mend the relay"

    open_connections = 0

    def close_idle(self, above: int) -> None:
        pass

    def abort(self) -> None:
        self.may_answer.set()

    def close(self) -> None:
        pass


class Senders:
    """Sender threads, their relay, and what they have settled."""

    def __init__(self, count: int, folder: Path) -> None:
        self.relay, self.breaker = Relay(), Breaker(60)
        self.locks = FileLocks(folder / "alive")
        self.locks.claim(lambda: None)
        clock = ClockWatch(Database(f"sqlite:///{folder}/outbox.db"), 60)
        self.runner = AttemptRunner(self.relay, Policy((60.0,), 3600.0), self.breaker, RateLimiter(), clock, self.locks)
        self.settled: dict[int, FinishedAttempt] = {}
        self.threads = SenderThreads(count, self.runner, self._settle)

    def _settle(self, finished: FinishedAttempt) -> None:
        assert finished.mail_id not in self.settled
        self.settled[finished.mail_id] = finished

    def put(self, *numbers: int, send_by: float = LATER) -> None:
        self.threads.put([mail(number) for number in numbers], send_by)

    def wait_for(self, count: int) -> list[State]:
        """Return the states of the settled mails, by id, once there are `count`."""
        wait_until(lambda: len(self.settled) == count and self.threads.busy == 0)
        return [self.settled[number].outcome.state for number in sorted(self.settled)]

    def hold_first(self) -> None:
        """Put mail 1 and let a thread wait for the reply to it."""
        self.relay.may_answer.clear()
        self.put(1)
        wait_until(lambda: self.relay.sends)


@contextmanager
def running(count: int, folder: Path) -> Iterator[Senders]:
    senders = Senders(count, folder)
    yield senders
    senders.threads.stop()
    senders.relay.may_answer.set()
    senders.locks.release()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Senders]:
    with running(1, tmp_path) as senders:
        yield senders


def test_each_mail_is_announced_with_the_one_before_it(one: Senders) -> None:
    one.put(1, 2, 3)
    assert one.wait_for(3) == [State.SENT] * 3
    assert one.relay.sends == [(1, 2), (2, 3), (3, None)]
    assert one.relay.abandoned == []


def test_a_mail_that_comes_while_another_is_sent_waits_and_is_not_begun(one: Senders) -> None:
    one.hold_first()
    one.put(2)
    assert (one.threads.busy, one.threads.waiting) == (2, 1)
    assert one.locks.begun_by(one.locks.owner) == {1}
    one.relay.may_answer.set()
    one.wait_for(2)
    assert one.relay.sends == [(1, None), (2, None)]


def test_a_failure_of_one_mail_leaves_the_announced_one_to_be_sent(one: Senders) -> None:
    one.relay.failures[1] = TryLater("rcpt", "4.2.1 busy", 450)
    one.put(1, 2)
    assert one.wait_for(2) == [State.QUEUED, State.SENT]


def test_a_mail_that_cannot_be_rendered_fails_alone_and_the_one_behind_it_is_announced(one: Senders) -> None:
    one.relay.unrenderable = {2}
    one.put(1, 2, 3)
    assert one.wait_for(3) == [State.SENT, State.FAILED, State.SENT]
    assert one.relay.sends == [(1, 3), (3, None)]


def test_an_expired_mail_is_neither_begun_nor_sent(one: Senders) -> None:
    one.threads.put([mail(1, send_before=NOW - timedelta(seconds=1))], LATER)
    one.wait_for(1)
    assert one.settled[1].outcome is EXPIRED
    assert (one.relay.sends, one.locks.begun_by(one.locks.owner)) == ([], set())


def test_an_announced_mail_is_abandoned_when_the_one_before_it_pauses_the_relay(one: Senders) -> None:
    one.relay.failures[1] = RelayTrouble("mail", "4.3.2 closing", 421)
    one.put(1, 2)
    one.wait_for(2)
    assert one.settled[2].outcome is RELEASED
    assert (one.relay.sends, one.relay.abandoned) == ([(1, 2)], [2])


def test_mails_that_wait_are_given_back_when_the_relay_is_paused(one: Senders) -> None:
    one.relay.failures[1] = RelayTrouble("mail", "4.3.2 closing", 421)
    one.hold_first()
    one.put(2, 3)
    one.relay.may_answer.set()
    one.wait_for(3)
    assert {one.settled[number].outcome for number in (2, 3)} == {RELEASED}
    assert one.relay.sends == [(1, None)]
    one.put(4)  # the probe
    one.wait_for(4)
    assert one.settled[4].outcome is SENT


def test_an_announced_mail_is_abandoned_when_its_time_is_used_up(one: Senders) -> None:
    one.relay.may_answer.clear()
    send_by = time.monotonic() + 0.5
    one.put(1, 2, send_by=send_by)
    wait_until(lambda: one.relay.sends == [(1, 2)] and time.monotonic() > send_by)
    one.relay.may_answer.set()
    one.wait_for(2)
    assert [one.settled[number].outcome for number in (1, 2)] == [SENT, RELEASED]
    assert one.relay.abandoned == [2]


def test_mails_whose_time_is_used_up_are_released_and_not_sent(one: Senders) -> None:
    one.put(*range(1, 100), send_by=time.monotonic() - 1)
    one.wait_for(99)
    assert {finished.outcome for finished in one.settled.values()} == {RELEASED}
    one.put(100)
    one.wait_for(100)
    assert one.relay.sends == [(100, None)]


def test_mails_that_are_given_back_are_not_sent(one: Senders) -> None:
    one.hold_first()
    one.put(2, 3)
    assert [mail.id for mail in one.threads.give_back()] == [2, 3]
    assert (one.threads.give_back(), one.threads.busy) == ([], 1)
    one.relay.may_answer.set()
    assert one.wait_for(1) == [State.SENT]
    assert one.relay.sends == [(1, None)]


def test_a_stop_finishes_what_is_being_sent_and_leaves_the_rest(one: Senders) -> None:
    one.relay.may_answer.clear()
    one.put(1, 2, 3, 4)
    wait_until(lambda: one.relay.sends == [(1, 2)])
    one.threads.stop()
    one.relay.may_answer.set()
    wait_until(lambda: len(one.settled) == 2)
    assert [mail.id for mail in one.threads.give_back()] == [3, 4]
    assert one.relay.sends == [(1, 2)]
    assert [one.settled[number].outcome for number in (1, 2)] == [SENT, RELEASED]


def test_mails_that_are_put_after_the_stop_are_not_sent(one: Senders) -> None:
    one.threads.stop()
    one.put(1)
    assert [mail.id for mail in one.threads.give_back()] == [1]
    assert one.relay.sends == []


def test_a_cut_off_releases_what_is_begun(one: Senders) -> None:
    one.relay.failures = {1: TryLater("rcpt", "connection lost"), 2: TryLater("connect", "the service is stopping")}
    one.relay.may_answer.clear()
    one.put(1, 2)
    wait_until(lambda: one.relay.sends)
    one.threads.stop()
    one.runner.cut_off()
    wait_until(lambda: len(one.settled) == 2)
    assert {finished.outcome for finished in one.settled.values()} == {RELEASED}


def test_idle_threads_take_mails_before_busy_ones_announce_them(tmp_path: Path) -> None:
    with running(4, tmp_path) as senders:
        senders.relay.may_answer.clear()
        for number in range(1, 5):
            senders.put(number)
        wait_until(lambda: len(senders.relay.sends) == 4)
        assert sorted(senders.relay.sends) == [(number, None) for number in range(1, 5)]
        senders.relay.may_answer.set()
        senders.wait_for(4)


def test_many_mails_over_many_threads_are_settled_once_each(tmp_path: Path) -> None:
    with running(8, tmp_path) as senders:
        for start in range(1, 2001, 20):
            senders.put(*range(start, start + 20))
        assert senders.wait_for(2000) == [State.SENT] * 2000
        assert sorted(message for message, _ in senders.relay.sends) == list(range(1, 2001))
