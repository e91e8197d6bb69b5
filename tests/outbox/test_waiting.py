"""Why mails wait, decided from values and read from a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from outboxes import find, mail

from orderconfirm.models import OutboxEntry, State
from orderconfirm.outbox.breaker import Pause
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.senders import Senders
from orderconfirm.outbox.waiting import MAX_AHEAD, Sending, explain_wait, read_sending
from orderconfirm.queries import COMMON_ACCOUNT, RelayPause

NOW = datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
MAIL = OutboxEntry(1, "shop", "1", 0, "<1@x>", "a@example.com", State.QUEUED, NOW, NOW, NOW, 0, 0, None)
DUE = NOW.timestamp()
SENDING = Sending(NOW + timedelta(seconds=5), 1, {}, {"shop": [DUE]})
PAUSE = RelayPause(COMMON_ACCOUNT, "login: 535 wrong password", NOW - timedelta(minutes=7), NOW + timedelta(minutes=3))


@pytest.mark.parametrize(
    ("changes", "sending", "reason"),
    [
        ({}, SENDING, "it is sent next"),
        ({}, replace(SENDING, due={"shop": [DUE - 1, DUE]}), "1 mail of this shop is sent before it"),
        ({}, replace(SENDING, due={"shop": [DUE - 2, DUE - 1, DUE]}), "2 mails of this shop are sent before it"),
        (
            {},
            replace(SENDING, due={"shop": [DUE - 1] * (MAX_AHEAD + 1)}),
            "more than 1,000 mails of this shop are sent before it",
        ),
        ({}, replace(SENDING, senders=0), "no process sends mails: start the service, or flask outbox run"),
        (
            {},
            replace(SENDING, pauses={COMMON_ACCOUNT: PAUSE}),
            "the relay has been paused since 2025-03-15 14:23:00Z: login: 535 wrong password; "
            "next try at 2025-03-15 14:33:00Z",
        ),
        (
            {"state": State.UNKNOWN},
            replace(SENDING, pauses={COMMON_ACCOUNT: replace(PAUSE, next_try_at=NOW)}),
            "the relay has been paused since 2025-03-15 14:23:00Z: login: 535 wrong password; next try now",
        ),
        (
            {"due_at": NOW + timedelta(minutes=1)},
            replace(SENDING, pauses={COMMON_ACCOUNT: PAUSE}),
            "the next attempt is at 2025-03-15 14:31:00Z",
        ),
        ({}, replace(SENDING, pauses={"another": PAUSE}), "it is sent next"),
        *(({"state": state}, SENDING, None) for state in State if state not in State.DUE),
    ],
)
def test_the_reason_of_a_wait_is_the_first_that_prevents_sending(
    changes: dict[str, object], sending: Sending, reason: str | None
) -> None:
    assert explain_wait(replace(MAIL, **changes), sending, COMMON_ACCOUNT) == reason


def test_the_pause_of_a_sender_and_the_mails_ahead_are_read(queue: OutboxQueue) -> None:
    for order_id in ("1", "2"):
        queue.add(mail(order_id))

    def reason(order_id: str, account: str = COMMON_ACCOUNT) -> str | None:
        entry = find(queue, order_id)
        return explain_wait(entry, read_sending(queue._database, [entry.shop]), account)

    assert "no process sends" in (reason("1") or "")
    senders = Senders(queue._database, 5)
    senders.share(0, None, 100.0)
    assert reason("1") == "it is sent next"
    assert reason("2") == "1 mail of this shop is sent before it"
    senders.share(0, Pause("login: 535 no", since=90.0, until=400.0), 200.0)
    assert "login: 535 no; next try at" in (reason("2") or "")
    assert reason("2", "another") == "1 mail of this shop is sent before it"
    senders.leave()
