"""The database: reachable, at the right revision, writable, and what waits in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from orderconfirm.checks.findings import Finding, Status, error, error_of, ok, skipped, warning
from orderconfirm.checks.storage import examine_storage
from orderconfirm.checks.webhooks import examine_webhooks
from orderconfirm.errors import DatabaseUnreachable, OutboxUnavailable, SchemaMismatch
from orderconfirm.models import State
from orderconfirm.outbox import examination
from orderconfirm.outbox.callback_admin import read_undelivered
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.lock_holders import name_lock_holder
from orderconfirm.outbox.senders import read_senders
from orderconfirm.outbox.stats import read_sent_per_minute, read_stats
from orderconfirm.settings import Settings

#: Seconds by which the clocks of this machine and the database's may differ.
MAX_CLOCK_DIFFERENCE = 5.0
#: Seconds after which a trial write counts as stuck. It waits longer, so that the holder of the lock can be found.
WRITE_TIMEOUT = examination.LOCK_TIMEOUT / 2
#: Seconds that a due mail may wait before somebody should look, and within which living senders try it.
MAX_WAIT = 600.0
MAX_IDLE = 120.0
_SEE_ABOVE = "see the lines above"
_PARTS = ("writing", "clock", "senders", "outbox")


def examine_database(settings: Settings) -> Iterator[Finding]:
    """Examine the database of DATABASE_URL, and for SQLite the place of its file. Creates and changes nothing."""
    database = Database(settings.database_url, settings.database_password_file)
    try:
        place = list(examine_storage(settings, database.file)) if database.file else []
        yield from place
        if database.file and not database.file.exists():
            is_possible = not any(finding.status is Status.ERROR for finding in place)
            yield ok("database", "the first start creates it") if is_possible else skipped("database", _SEE_ABOVE)
        else:
            yield from _examine(settings, database)
    finally:
        database.close()


def _examine(settings: Settings, database: Database) -> Iterator[Finding]:
    try:
        found = database.schema.revision()
        yield ok("database", f"{examination.server_version(database)} answers")
    except OutboxUnavailable as exc:
        yield error("database", str(exc), _how_to_reach(settings, exc))
        yield from (skipped(name, "the database cannot be opened") for name in ("schema", *_PARTS))
        return
    pending = database.schema.pending(found)
    if pending:
        yield _pending(settings, database, pending)
        yield from (skipped(name, "the schema is not up to date yet") for name in _PARTS)
        return
    try:
        database.schema.make_usable(may_migrate=False)
    except SchemaMismatch as exc:
        yield error_of("schema", str(exc), "start a newer version")
        yield from (skipped(name, "this version cannot use the schema") for name in _PARTS)
        return
    yield ok("schema", f"revision {found.number if found else None}")
    writing = _writing(database)
    yield writing
    yield _clock(settings, database)
    yield _senders(settings, database, can_write=writing.status is Status.OK)
    yield _outbox(settings, database)
    yield from examine_webhooks(settings, database)
    yield from _callbacks(database)


def _how_to_reach(settings: Settings, exc: OutboxUnavailable) -> str:
    if settings.database_url.startswith("sqlite"):
        return "see the lines above; if they are right, restore the file from a backup or set another DATABASE_URL"
    if isinstance(exc, DatabaseUnreachable):
        return "check that the server runs, the host and port in DATABASE_URL, and the firewall"
    return "correct the user, the password or the name of the database in DATABASE_URL, or create them"


def _pending(settings: Settings, database: Database, pending: list[str]) -> Finding:
    found = f"{', '.join(pending)} to be applied"
    if not settings.auto_migrate:
        return error("schema", f"{found}, and AUTO_MIGRATE is false", "run flask db upgrade")
    if not examination.may_create_tables(database):
        advice = "grant CREATE on the schema, or run flask db upgrade as a user who has it"
        return error("schema", f"{found}, but the user may not create tables", advice)
    return ok("schema", f"{found} by the next start")


def _writing(database: Database) -> Finding:
    try:
        name_lock_holder(database, partial(examination.try_to_write, database), WRITE_TIMEOUT)()
    except OutboxUnavailable as exc:
        advice = "end the other process or session that holds a lock; a read-only database needs to be made writable"
        return error_of("writing", str(exc), advice)
    return ok("writing", "possible")


def _clock(settings: Settings, database: Database) -> Finding:
    ahead = examination.seconds_ahead(database)
    if abs(ahead) > MAX_CLOCK_DIFFERENCE:
        found = f"the database's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        return warning("clock", found, "correct the wrong one with NTP")
    if ClockWatch(database, settings.lease_seconds).read().is_distrusted:
        advice = "correct the clock; if it is right now, there is nothing to do"
        return warning("clock", "it jumped ahead today, so nothing expires or is deleted for a day", advice)
    return ok("clock", "the database's and this machine's agree" if database.file is None else "no jump is recorded")


def _senders(settings: Settings, database: Database, can_write: bool) -> Finding:
    running, pauses = read_senders(database)
    if running and not can_write:
        found = f"{running} running, and none can send: it could not record what was sent"
        return warning("senders", found, "see writing above; mails wait and lose no attempt")
    if pauses:
        found = "; ".join(
            f"{pause.relay} has been paused since {pause.since:%Y-%m-%d %H:%M} UTC: {pause.reason}" for pause in pauses
        )
        advice = "; ".join(pause.advice for pause in pauses if pause.advice) or "see the relay's lines below"
        return warning("senders", found, f"{advice}; mails wait and lose no attempt")
    if not running and settings.sender_role == "off":
        return warning("senders", "no process sends, and SENDER is off", "run flask outbox run on some machine")
    waits = read_stats(database).oldest_due
    if waits > MAX_IDLE and not any(read_sent_per_minute(database)[-2:]):
        found = f"{running or 'none is'} running, and nothing has been sent for two minutes"
        advice = "restart the service; its log says why it does not send" if running else "start the service"
        return warning("senders", found, advice)
    return ok("senders", f"{running} running" if running else "none is running now")


def _outbox(settings: Settings, database: Database) -> Finding:
    stats = read_stats(database)
    attention = sum(count for state, count in stats.mails.items() if state in State.ATTENTION)
    found = f"{stats.pending} waiting, {attention} need a person"
    if stats.pending >= settings.outbox_max_pending:
        advice = "find out why nothing is sent, or raise OUTBOX_MAX_PENDING"
        found = f"full: {stats.pending} of {settings.outbox_max_pending} mails wait, so orders are refused"
        return error("outbox", found, advice)
    if stats.oldest_due > MAX_WAIT:
        advice = "see senders above and flask outbox list"
        return warning("outbox", f"{found}; the oldest has been due for {stats.oldest_due / 60:.0f} minutes", advice)
    return warning("outbox", found, "see flask outbox list --state failed") if attention else ok("outbox", found)


def _callbacks(database: Database) -> Iterator[Finding]:
    count, gone = read_undelivered(database)
    if gone:
        hosts = " ".join(sorted({urlsplit(url).netloc for url in gone}))
        advice = "correct the URL, or post what was missed by flask outbox callback --replay --all"
        yield warning("callbacks", f"switched off after 410 Gone: {hosts}", advice)
    elif count:
        yield warning("callbacks", f"{count} were not delivered to the shop", "see flask outbox callback")
