"""Why mails wait: the relay is paused, nothing sends, others are ahead, or their time has not come."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from orderconfirm.models import OutboxEntry, State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.senders import read_senders
from orderconfirm.outbox.sql import is_due, now
from orderconfirm.outbox.tables import outbox
from orderconfirm.queries import RelayPause

#: Maximum number of due mails that are read to count those ahead of another.
MAX_AHEAD = 1000

_NOW = select(now)
_DUE = select(outbox.c.due_at).where(*is_due, outbox.c.due_at <= now).order_by(outbox.c.due_at).limit(MAX_AHEAD + 1)


@dataclass(frozen=True, slots=True)
class Sending:
    """How the sending goes at the time `at`.

    `senders` is how many processes send, `pause` the longest pause among them, and `due` when the first MAX_AHEAD + 1
    due mails became due, in seconds since 1970.
    """

    at: datetime
    senders: int
    pause: RelayPause | None
    due: Sequence[float]


def read_sending(database: Database) -> Sending:
    """Raises OutboxUnavailable."""
    senders, pause = read_senders(database)
    with database.reading() as connection:
        at = connection.execute(_NOW).scalar_one()
        due = connection.execute(_DUE).scalars().all()
    return Sending(datetime.fromtimestamp(at, UTC), senders, pause, due)


def explain_wait(mail: OutboxEntry, sending: Sending) -> str | None:
    """Return why a mail is not being sent yet; None if it does not wait for that."""
    if mail.state not in State.DUE:
        return None
    if mail.due_at > sending.at:
        return f"the next attempt is at {_time(mail.due_at)}"
    if pause := sending.pause:
        next_try = f"at {_time(pause.next_try_at)}" if pause.next_try_at > sending.at else "now"
        return f"the relay has been paused since {_time(pause.since)}: {pause.reason}; next try {next_try}"
    if not sending.senders:
        return "no process sends mails: start the service, or flask outbox run"
    ahead = bisect_left(sending.due, mail.due_at.timestamp())
    if ahead > MAX_AHEAD:
        return f"more than {MAX_AHEAD:,} mails are sent before it"
    if ahead:
        return f"{'1 mail is' if ahead == 1 else f'{ahead} mails are'} sent before it"
    return "it is sent next"


def explain_waits(database: Database, mails: Collection[OutboxEntry]) -> dict[int, str]:
    """Return why mails are not being sent yet, by the ids of those that wait. Raises OutboxUnavailable."""
    if not any(mail.state in State.DUE for mail in mails):
        return {}
    sending = read_sending(database)
    return {mail.id: reason for mail in mails if (reason := explain_wait(mail, sending))}


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
