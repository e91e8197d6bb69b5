"""The history of each mail: its events in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, null, select, update

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
)
_OF_MAIL = select(history).where(history.c.mail_id == bindparam("mail_id")).order_by(history.c.id)
_PURGE_TEXTS = update(history).where(history.c.mail_id == bindparam("mail")).values(text=null())


def record(
    connection: Connection,
    mail_ids: Iterable[int],
    event: Event,
    state: State,
    text: str | None = None,
    stage: str | None = None,
    code: int | None = None,
    seconds: float | None = None,
) -> None:
    """Add one event to the history of each mail. `stage`, `code` and `text` are the relay's reply, if there was one."""
    values = {"event": event, "state": state, "text": text, "stage": stage, "code": code, "seconds": seconds}
    if rows := [{"mail_id": mail_id, **values} for mail_id in mail_ids]:
        connection.execute(ADD, rows)


def read(connection: Connection, mail_ids: Iterable[int]) -> list[Row[Any]]:
    """Return the history of several mails, oldest event first."""
    rows = [row for mail_id in mail_ids for row in connection.execute(_OF_MAIL, {"mail_id": mail_id})]
    return sorted(rows, key=lambda row: int(row.id))


def purge_texts(connection: Connection, mail_id: int) -> None:
    """Delete the texts in a mail's history, which may be personal. The events themselves stay."""
    connection.execute(_PURGE_TEXTS, {"mail": mail_id})
