"""Databases for the benchmarks."""

from __future__ import annotations

from orderconfirm.models import NewMail
from orderconfirm.order.serialization import canonical, fingerprint
from orderconfirm.outbox.additions import Addition, Additions
from orderconfirm.outbox.capacity import Capacity
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.engines import writing_engine
from orderconfirm.outbox.tables import metadata

#: Mails that one transaction adds.
GROUP = 500
MAX_PENDING = 10_000_000


def new_mail(body: dict[str, object]) -> NewMail:
    """Return the mail of a validated order, as `OrderConfirmations.place` does."""
    request = canonical(body)
    order_id, recipient = request["order_id"], request["customer"]["email"]
    defaults: dict[str, object] = {"currency": "USD", "locale": "en"}
    return NewMail("shop", order_id, f"<{order_id}@acme.example>", recipient, request, defaults, fingerprint(request))


def fill(url: str, bodies: list[dict[str, object]]) -> None:
    """Add the mails of validated orders to an outbox."""
    database = Database(url)
    database.open()
    try:
        additions = Additions(database, Capacity(MAX_PENDING))
        for start in range(0, len(bodies), GROUP):
            group = [Addition.of(new_mail(body)) for body in bodies[start : start + GROUP]]
            failed = [each for each in database.write_all([(additions.add_all, each) for each in group]) if not each]
            assert not failed
    finally:
        database.close()


def emptied(postgres: str) -> str:
    """Drop the outbox's tables from a PostgreSQL database, and return its URL."""
    engine = writing_engine(postgres)
    metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version, schema_compatibility")
    engine.dispose()
    return postgres
