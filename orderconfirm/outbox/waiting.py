"""Why mails wait: the relay is paused, nothing sends, others are ahead, or their time has not come."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import bindparam, select

from orderconfirm.models import OutboxEntry, State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.senders import read_senders
from orderconfirm.outbox.sql import is_due_state, now
from orderconfirm.outbox.tables import outbox
from orderconfirm.queries import RelayPause

#: Maximum number of due mails that are read to count those ahead of another.
MAX_AHEAD = 1000

_NOW = select(now)
_DUE = (
    select(outbox.c.due_at)
    .where(is_due_state, outbox.c.shop == bindparam("shop"), outbox.c.due_at <= now)
    .order_by(outbox.c.due_at)
    .limit(MAX_AHEAD + 1)
)


@dataclass(frozen=True, slots=True)
class Sending:
    """How the sending goes at the time `at`.

    `senders` is how many processes send, `pauses` has the longest pause of each paused relay account, and `due` when
    the first MAX_AHEAD + 1 due mails of each shop became due, in seconds since 1970.
    """

    at: datetime
    senders: int
    pauses: Mapping[str, RelayPause]
    due: Mapping[str, Sequence[float]]


def read_sending(database: Database, shops: Collection[str]) -> Sending:
    """Return how the sending of these shops' mails goes. Raises OutboxUnavailable."""
    senders, pauses = read_senders(database)
    with database.reading() as connection:
        at = connection.execute(_NOW).scalar_one()
        due = {shop: connection.execute(_DUE, {"shop": shop}).scalars().all() for shop in shops}
    return Sending(datetime.fromtimestamp(at, UTC), senders, {pause.account: pause for pause in pauses}, due)


def explain_wait(mail: OutboxEntry, sending: Sending, account: str) -> str | None:
    """Return why a mail, which is sent through the relay account, is not being sent yet; None if it does not wait."""
    if mail.state not in State.DUE:
        return None
    if mail.due_at > sending.at:
        return f"the next attempt is at {_time(mail.due_at)}"
    if pause := sending.pauses.get(account):
        next_try = f"at {_time(pause.next_try_at)}" if pause.next_try_at > sending.at else "now"
        return f"{pause.relay} has been paused since {_time(pause.since)}: {pause.reason}; next try {next_try}"
    if not sending.senders:
        return "no process sends mails: start the service, or flask outbox run"
    ahead = bisect_left(sending.due[mail.shop], mail.due_at.timestamp())
    if ahead > MAX_AHEAD:
        return f"more than {MAX_AHEAD:,} mails of this shop are sent before it"
    if ahead:
        return f"{'1 mail of this shop is' if ahead == 1 else f'{ahead} mails of this shop are'} sent before it"
    return "it is sent next"


def explain_waits(
    database: Database, mails: Collection[OutboxEntry], account_of: Callable[[str], str]
) -> dict[int, str]:
    """Return why mails are not being sent yet, by the ids of those that wait. Raises OutboxUnavailable.

    `account_of` returns the relay account of a shop.
    """
    shops = {mail.shop for mail in mails if mail.state in State.DUE}
    if not shops:
        return {}
    sending = read_sending(database, shops)
    return {mail.id: reason for mail in mails if (reason := explain_wait(mail, sending, account_of(mail.shop)))}


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
