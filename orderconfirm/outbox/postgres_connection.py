"""Connections to PostgreSQL: their time limits, their password, and whether a pooler is in between.

A service on SQLite does not import psycopg, which takes a tenth of its start and 9 MB.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

#: Seconds to connect, and for a statement. Beyond that, the server or the network counts as unavailable.
TIMEOUT = 10
#: Seconds after which an unresponsive connection is given up.
_UNANSWERED_SECONDS = 5

#: The server answered, and an operator must change something. Such errors have no SQLSTATE in libpq.
_REFUSED = re.compile(r"authentication failed|does not exist|no pg_hba.conf entry|DATABASE_PASSWORD_FILE|ENCODING")

#: Parameters of libpq: TCP detects a server that has disappeared.
CONNECT_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": TIMEOUT,
    "keepalives_idle": TIMEOUT,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": _UNANSWERED_SECONDS * 1000,
}
#: The server ends what takes too long, and closes connections to machines that have disappeared.
_SESSION_SETTINGS = {
    "statement_timeout": f"{TIMEOUT}s",
    "idle_in_transaction_session_timeout": f"{TIMEOUT}s",
    "tcp_keepalives_idle": f"{TIMEOUT}s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "2",
}
_SET = "; ".join(f"SET {name} = '{value}'" for name, value in _SESSION_SETTINGS.items())


def require_utf8(session: psycopg.Connection[Any], record: Any) -> None:
    """Refuse a database that cannot store every name. A listener of SQLAlchemy's "connect" event, before its own.

    On SQL_ASCII, psycopg returns bytes, for which SQLAlchemy's first query of a connection is not prepared.
    """
    import psycopg

    encoding = session.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):  # None: a pooler in between does not report it
        trouble = f"the database's encoding is {encoding}, which cannot store every name"
        raise psycopg.OperationalError(f"{trouble}: create one with ENCODING 'UTF8' TEMPLATE template0")


def tune(session: psycopg.Connection[Any], record: Any) -> None:
    """Set a new connection's limits. A listener of SQLAlchemy's "connect" event.

    By SET, because poolers such as PgBouncer and RDS Proxy refuse settings in the startup message.
    """
    was_autocommit, session.autocommit = session.autocommit, True
    session.execute(_SET)
    if is_pooled(session):
        session.prepare_threshold = (
            None  # the next transaction may run in a session that has not prepared the statement
        )
    session.autocommit = was_autocommit


def remove_time_limits(session: psycopg.Connection[Any], record: Any) -> None:
    """Let a new connection's statements and pauses take any time. A listener like `tune`, after it."""
    was_autocommit, session.autocommit = session.autocommit, True
    session.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    session.autocommit = was_autocommit


def is_pooled(session: psycopg.Connection[Any]) -> bool:
    """Whether a pooler is in between: it gives its clients process ids of its own."""
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    return row is None or row[0] != session.info.backend_pid


def is_unreachable(error: object) -> bool:
    """Whether a connection failed for a reason that may pass: not because of a wrong password or database name."""
    import psycopg

    return isinstance(error, psycopg.OperationalError) and not _REFUSED.search(str(error))


def password_from(file: str) -> Callable[[Any, Any, Any, dict[str, Any]], None]:
    """Return a listener of SQLAlchemy's "do_connect" event that reads the password from `file` for each connection."""

    import psycopg

    def use_password(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        try:
            parameters["password"] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise psycopg.OperationalError(f"DATABASE_PASSWORD_FILE cannot be read: {type(exc).__name__}") from exc

    return use_password
