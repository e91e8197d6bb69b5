"""The leases of several mails in one transaction, on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

import pytest
from outboxes import claim, find, mail, opened, reclaim, run

from orderconfirm.models import Event, State
from orderconfirm.outbox.leases import AttemptResult, FinishedAttempt
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import RELEASED, SENT, Outcome
from orderconfirm.queries import COMMON_ACCOUNT

FAILED = Outcome(State.FAILED, Event.FAILED, "550")


@pytest.fixture
def filled(queue: OutboxQueue) -> OutboxQueue:
    """A queue with the mails 0 to 4."""
    for number in range(5):
        queue.add(mail(str(number)))
    return queue


def states(queue: OutboxQueue) -> str:
    """Return the first letter of each mail's state."""
    return "".join(str(find(queue, str(number)).state)[0] for number in range(5))


def test_settlements_and_a_claim_share_an_exchange(filled: OutboxQueue) -> None:
    first, second = claim(filled, 2, 60)
    finished = [FinishedAttempt.of(first, SENT), FinishedAttempt.of(second, FAILED)]
    exchange = filled.exchange(finished, {COMMON_ACCOUNT: 2}, 60)
    assert (exchange.settled, exchange.failure) == ([True, True], None)
    assert [claimed.order_id for claimed in exchange.claimed] == ["2", "3"]
    assert [find(filled, number).state for number in ("0", "1", "4")] == [State.SENT, State.FAILED, State.QUEUED]


def test_a_mail_that_is_given_back_can_be_claimed_in_the_same_exchange(filled: OutboxQueue) -> None:
    [first] = claim(filled, 1, 60)
    exchange = filled.exchange([FinishedAttempt.of(first, RELEASED)], {COMMON_ACCOUNT: 5}, 60)
    assert exchange.settled == [True]
    assert sorted(claimed.order_id for claimed in exchange.claimed) == list("01234")
    assert first.lease_token not in {claimed.lease_token for claimed in exchange.claimed}


def test_a_lease_that_was_lost_changes_nothing_and_others_are_settled(filled: OutboxQueue) -> None:
    mails = claim(filled, 3, -1)
    assert reclaim(filled) == 3
    [again] = claim(filled, 1, 60)
    lost = [FinishedAttempt.of(each, FAILED, AttemptResult("rcpt", 550, "no")) for each in mails]
    exchange = filled.exchange([lost[0], FinishedAttempt.of(again, SENT), *lost[1:]], {}, 60)
    assert exchange.settled == [False, True, False, False]
    events = {str(number): [entry.event for entry in find(filled, str(number)).history] for number in range(5)}
    assert all("failed" not in names for names in events.values())
    assert find(filled, again.order_id).state is State.SENT


def test_the_same_settlement_counts_once(filled: OutboxQueue) -> None:
    [first] = claim(filled, 1, 60)
    finished = FinishedAttempt.of(first, SENT)
    assert filled.exchange([finished, finished], {}, 60).settled == [True, False]
    assert filled.exchange([finished], {}, 60).settled == [False]
    entry = find(filled, first.order_id)
    assert (entry.attempts, [each.event for each in entry.history]) == (1, ["sent"])


def test_nothing_to_settle_and_nothing_to_claim_writes_nothing(filled: OutboxQueue) -> None:
    exchange = filled.exchange([], {}, 60)
    assert (exchange.settled, exchange.claimed, exchange.failure) == ([], [], None)
    assert states(filled) == "qqqqq"


def test_a_closed_outbox_tells_the_failure_of_each_part(url: str) -> None:
    with opened(url) as queue:
        queue.add(mail("0"))
        [claimed] = claim(queue, 1, 60)
    exchange = queue.exchange([FinishedAttempt.of(claimed, SENT)], {COMMON_ACCOUNT: 1}, 60)
    assert [type(each).__name__ for each in exchange.settled] == ["OutboxUnavailable"]
    assert type(exchange.failure).__name__ == "OutboxUnavailable"
    assert exchange.claimed == []


def test_a_row_that_cannot_be_read_fails_alone(filled: OutboxQueue) -> None:
    run(filled, "UPDATE outbox SET accepted_at = 1e300 WHERE order_id = '1'")
    assert [claimed.order_id for claimed in claim(filled, 5, 60)] == ["0", "2", "3", "4"]
    with filled._database.reading() as connection:
        state = connection.exec_driver_sql("SELECT state, lease_token FROM outbox WHERE order_id = '1'").one()
    assert tuple(state) == ("failed", None)


def test_an_unconfirmed_claim_of_a_living_process_is_not_a_copy(filled: OutboxQueue) -> None:
    mails = claim(filled, 2, 60)
    filled._unconfirmed_tokens.add(mails[0].lease_token)
    assert reclaim(filled) == 0
    assert states(filled) == "qqqqq"
    assert {find(filled, number).possible_copies for number in ("0", "1")} == {0}
