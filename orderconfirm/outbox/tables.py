"""The tables, the engines that reach them, and the one clock they go by: the database's."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.functions import FunctionElement

from orderconfirm.outbox.sqlite_lock import TurnstileLock

#: Seconds that a connection waits for another process's write lock (SQLite) or for the server (PostgreSQL).
LOCK_TIMEOUT = 10

#: States whose mails go out by themselves once due. As SQL text: a partial index is used only for its own words.
DUE_STATES = "state IN ('queued', 'unknown')"
LEASED_STATES = "state = 'sending'"
FINISHED_STATES = "state IN ('sent', 'failed', 'cancelled', 'expired')"
#: States that wait for a person.
ATTENTION_STATES = "state IN ('failed', 'held')"

metadata = MetaData()

_Id = BigInteger().with_variant(Integer, "sqlite")

#: One row a mail, for ever; all times are seconds since 1970 by the database's clock.
outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("shop", String(64), nullable=False),
    Column("order_id", String(128), nullable=False),
    #: 0 for the confirmation of the order, 1, 2 … for mails sent again on request.
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("fingerprint", String(64), nullable=False),
    Column("message_id", String(255), nullable=False),
    #: In lower case, to be found by; mail goes to the address in `payload`, letter for letter.
    Column("recipient", String(254)),
    #: Of the recipient, as `dead_addresses` has it.
    Column("address_hash", String(64)),
    #: {"sent": …, "defaults": …} in canonical JSON.
    Column("payload", Text),
    Column("accepted_at", Double, nullable=False),
    #: Its first attempt, of those that count, since it was accepted or put back: giving up counts from here.
    Column("tried_at", Double),
    Column("send_before", Double),
    Column("state", String(16), nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("possible_copies", Integer, nullable=False, server_default="0"),
    Column("reason", Text),
    #: What the relay's webhooks told last, and the time of that event.
    Column("delivery", String(16)),
    Column("delivery_at", Double),
    #: When somebody had everything personal of it deleted.
    Column("erased_at", Double),
    Column("lease_token", String(32)),
    #: The process that holds the lease.
    Column("lease_owner", String(16)),
    Column("lease_until", Double),
    UniqueConstraint("shop", "order_id", "revision", name="outbox_order"),
)
#: For lists, newest first: by shop alone, by state, by recipient.
Index("outbox_newest", outbox.c.shop, outbox.c.accepted_at, outbox.c.id)
Index("outbox_state", outbox.c.shop, outbox.c.state, outbox.c.accepted_at, outbox.c.id)
Index("outbox_recipient", outbox.c.shop, outbox.c.recipient, outbox.c.accepted_at, outbox.c.id)
Index("outbox_due", outbox.c.due_at, sqlite_where=text(DUE_STATES), postgresql_where=text(DUE_STATES))
Index("outbox_leased", outbox.c.lease_until, sqlite_where=text(LEASED_STATES), postgresql_where=text(LEASED_STATES))
Index("outbox_attention", outbox.c.state, sqlite_where=text(ATTENTION_STATES), postgresql_where=text(ATTENTION_STATES))
Index(
    "outbox_copies",
    outbox.c.possible_copies,
    sqlite_where=text("possible_copies > 0"),
    postgresql_where=text("possible_copies > 0"),
)
#: Finished mails whose content is not yet deleted.
Index(
    "outbox_kept",
    outbox.c.changed_at,
    sqlite_where=text(f"{FINISHED_STATES} AND payload IS NOT NULL"),
    postgresql_where=text(f"{FINISHED_STATES} AND payload IS NOT NULL"),
)

#: To which request each idempotency key belongs, as long as that order's content is kept.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("shop", String(64), primary_key=True),
    Column("idempotency_key", String(255), primary_key=True),
    Column("order_id", String(128), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Index("idempotency_keys_order", "shop", "order_id"),
)

#: What happened to each mail, in order. A row never goes; the words of one do, with the content of its order.
history = Table(
    "history",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("mail_id", _Id, ForeignKey("outbox.id"), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("event", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", String(16)),
    Column("code", Integer),
    Column("text", Text),
    Column("seconds", Double),
)


#: What the relay told of sent mails; each event once. Events that name no mail of ours are kept as well.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("event_id", String(128), nullable=False, unique=True),
    Column("mail_id", _Id, ForeignKey("outbox.id"), index=True),
    Column("received_at", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("event", String(32), nullable=False),
    Column("code", Integer),
    Column("text", Text),
    Column("raw", Text),
)

#: Addresses that bounced for good or complained, by hash: mails to them wait for a person.
suppressions = Table(
    "dead_addresses",
    metadata,
    Column("shop", String(64), primary_key=True),
    Column("address_hash", String(64), primary_key=True),
    Column("since", Double, nullable=False),
    Column("event", String(32), nullable=False),
    #: When somebody sent there again: what the relay tells of the time before counts no more.
    Column("released_at", Double),
)


#: Implausible jumps of the clock. Its times are not trusted from `noticed_at` until `trusted_from`. Once the clock is
#: set back both lie in the future, and it is trusted again.
clock_jumps = Table(
    "clock_jumps",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("noticed_at", Double, nullable=False),
    Column("trusted_from", Double, nullable=False),
    Column("seconds", Double, nullable=False),
)


class database_now(FunctionElement[float]):
    """Seconds since 1970 by the database's clock, the only one that all processes share."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _now_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    # Rounded to what its clock tells: a time that is told is then the very one that is stored, and found by.
    return "round((julianday('now') - 2440587.5) * 86400.0, 3)"


@compiles(database_now, "postgresql")
def _now_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


def writing_engine(url: str) -> Engine:
    """An engine with one connection whose transactions hold the write lock from their first statement.

    A deferred SQLite transaction that reads before it writes fails at once with SQLITE_BUSY_SNAPSHOT when another
    process wrote in between; BEGIN IMMEDIATE waits its turn instead.
    """
    engine = create_engine(_driver_url(url), pool_size=1, max_overflow=0, **_options(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
        event.listen(engine, "begin", TurnstileLock(Path(str(engine.url.database)).resolve(), LOCK_TIMEOUT).begin)
    return engine


def reading_engine(url: str) -> Engine:
    """An engine for single SELECTs from many threads, which never wait for the writer."""
    engine = create_engine(
        _existing(_driver_url(url)), pool_size=8, max_overflow=24, pool_timeout=LOCK_TIMEOUT, **_options(url)
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def create_tables(engine: Engine) -> None:
    """Create what is missing; several processes may do so at once."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        file = Path(engine.url.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # it holds names and addresses; its companions get its mode
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # IF NOT EXISTS alone still races in PostgreSQL's catalogue.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(20250315)")
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def missing_columns(engine: Engine) -> list[str]:
    """Columns that another version's tables lack, as table.column."""
    known = inspect(engine)
    return [
        f"{table.name}.{name}"
        for table in metadata.sorted_tables
        for name in {*table.columns.keys()} - {column["name"] for column in known.get_columns(table.name)}
    ]


def _driver_url(url: str) -> URL:
    """`postgres://` and `postgresql://` both mean psycopg 3."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgres", "postgresql") else parsed


def _existing(url: URL) -> URL:
    """An SQLite file that is away must be an error, not an empty file made in its place."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    return url.set(database=f"file:{quote(url.database)}", query={"mode": "rw", "uri": "true"})


def _options(url: str) -> dict[str, Any]:
    if _driver_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": LOCK_TIMEOUT}}
    # A server that vanished without a word is noticed by the socket; one that is stuck, by the server itself.
    limits = {
        "connect_timeout": LOCK_TIMEOUT,
        "keepalives_idle": LOCK_TIMEOUT,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": LOCK_TIMEOUT * 1000,
        "options": f"-c statement_timeout={LOCK_TIMEOUT}s -c idle_in_transaction_session_timeout={LOCK_TIMEOUT}s",
    }
    return {"connect_args": limits, "pool_pre_ping": True}


def _tune_sqlite(connection: Any, record: Any) -> None:
    # The driver must not open transactions on its own: see writing_engine.
    connection.isolation_level = None
    # A damaged row must be readable enough to be set aside, or it would stop every claim that meets it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA journal_mode=WAL")
    # The 202 is a promise: a commit must be on the disk, not in its cache.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # What is erased must not stay in the file until something else is written over it.
    connection.execute("PRAGMA secure_delete=ON")
