"""The history of each mail: its events in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from orderconfirm.models import Event, State
from orderconfirm.outbox.sql import now
from orderconfirm.outbox.tables import history

ADD = insert(history).values(
    mail_id=bindparam("mail_id"),
    at=now,
    event=bindparam("event"),
    state=bindparam("state"),
    stage=bindparam("stage"),
    code=bindparam("code"),
    text=bindparam("text"),
    seconds=bindparam("seconds"),
    is_copy=bindparam("is_copy"),
)
_OF_MAIL = select(history).where(history.c.mail_id == bindparam("mail_id")).order_by(history.c.id)
_DELETE = delete(history).where(history.c.mail_id.in_(bindparam("mails", expanding=True)))


def record(
    connection: Connection,
    mail_ids: Iterable[int],
    event: Event,
    state: State,
    text: str | None = None,
    stage: str | None = None,
    code: int | None = None,
    seconds: float | None = None,
    is_copy: bool = False,
) -> None:
    """Add one event to the history of each mail, or of each mail's copy.

    `stage`, `code` and `text` are the relay's reply, if there was one.
    """
    reply = {"text": text, "stage": stage, "code": code, "seconds": seconds}
    values = {"event": event, "state": state, **reply, "is_copy": is_copy}
    if rows := [{"mail_id": mail_id, **values} for mail_id in mail_ids]:
        connection.execute(ADD, rows)


def read(connection: Connection, mail_ids: Iterable[int]) -> list[Row[Any]]:
    """Return the history of several mails and their copies, oldest event first."""
    rows = [row for mail_id in mail_ids for row in connection.execute(_OF_MAIL, {"mail_id": mail_id})]
    return sorted(rows, key=lambda row: int(row.id))


def delete_of(connection: Connection, mail_ids: Collection[int]) -> None:
    """Delete the history of several mails and their copies."""
    connection.execute(_DELETE, {"mails": mail_ids}).close()
