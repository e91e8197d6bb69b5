"""The duration of each kind of request with a million mails in the outbox (`make bench-outbox`).

The mails are written directly to the database: three shops, two years, states in realistic proportions. Then requests
are sent through the service's API, with keys and JSON.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
from flask.testing import FlaskClient

from benchmarks.orders import API_KEY, URL, make_body
from benchmarks.postgres import installed_programs, postgres_server
from benchmarks.relay import relay
from orderconfirm import create_app
from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.models import Delivery, State
from orderconfirm.order.serialization import encode_payload
from orderconfirm.outbox.database import Database
from orderconfirm.queries import Search
from orderconfirm.settings import Settings

#: Calls of each kind, fewer when they take more than these seconds.
CALLS, SECONDS = 300, 10.0
LIST = f"{URL}s"
HEADERS = {"Authorization": f"Bearer {API_KEY}"}

DAY = 86400.0
SPAN = 730 * DAY
SHOPS = {"shop": 75, "second": 20, "third": 5}
STATES = {"sent": 97, "failed": 2, "cancelled": 0.6, "expired": 0.3, "queued": 0.01, "held": 0.006, "unknown": 0.002}
#: The recipient with by far the most mails, like a test address: one in 200.
REGULAR = "regular@example.com"
REGULAR_SHARE = 0.005

MAIL_COLUMNS = (
    *("shop", "order_id", "fingerprint", "message_id", "recipient", "payload", "accepted_at"),
    *("tried_at", "state", "changed_at", "due_at", "attempts", "reason"),
)
EVENT_COLUMNS = ("mail_id", "at", "event", "state", "stage", "code", "text", "seconds")
BODY = make_body()
_PAYLOAD = encode_payload(BODY, {"currency": "USD", "locale": "en"})


def mails(count: int, now: float) -> Iterator[tuple[Any, ...]]:
    """Yield rows of the outbox, oldest first. Queued mails are due tomorrow, so none is sent meanwhile."""
    rng = random.Random(count)
    shops = rng.choices(list(SHOPS), list(SHOPS.values()), k=count)
    states = rng.choices(list(STATES), list(STATES.values()), k=count)
    for number, (shop, state) in enumerate(zip(shops, states, strict=True)):
        order_id = f"R-{number}"
        is_regular = rng.random() < REGULAR_SHARE
        recipient = REGULAR if is_regular else f"customer.{rng.randrange(count // 3 + 1)}@example.com"
        payload = _PAYLOAD.replace("ORD-12345", order_id).replace("john.doe@example.com", recipient)
        at = now - 60 - SPAN * (count - number) / count
        digest = sha256(payload.encode()).hexdigest()
        due = now + DAY if state in ("queued", "unknown") else at
        reason = "550 5.1.1 The email account that you tried to reach does not exist" if state == "failed" else None
        message_id = f"<{digest[:32]}@acme.example>"
        yield shop, order_id, digest, message_id, recipient, payload, at, at, state, at + 1, due, 1, reason


def events(count: int, now: float) -> Iterator[tuple[Any, ...]]:
    """Yield rows of the history: each mail was sent, one in eight at the second attempt."""
    for number in range(count):
        at = now - 60 - SPAN * (count - number) / count
        if number % 8 == 0:
            yield number + 1, at, "retry", "queued", "RCPT", 451, "4.7.1 Greylisted, try again in 5 minutes", 0.231
        yield number + 1, at + 1, "sent", "sent", "DATA", 250, "2.0.0 Ok: queued as 4XyZ1k2m3nz9rV", 0.187


def fill(url: str, count: int) -> None:
    """Create the tables and write `count` mails in bulk."""
    database = Database(url)
    database.schema.upgrade()
    database.close()
    now = time.time()
    tables = (("outbox", MAIL_COLUMNS, mails(count, now)), ("history", EVENT_COLUMNS, events(count, now)))
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        file.execute("PRAGMA journal_mode=OFF")
        for table, columns, rows in tables:
            marks = ",".join("?" * len(columns))
            file.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", rows)
        file.commit()
        file.close()
        return
    with psycopg.connect(url, autocommit=True) as server:
        for table, columns, rows in tables:
            with server.cursor().copy(f"COPY {table} ({','.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        server.execute("VACUUM ANALYZE")


class Shop:
    """The largest shop, which requests random ones of its mails."""

    def __init__(self, client: FlaskClient, count: int) -> None:
        self.client = client
        self.rng = random.Random(1)
        self._count = count
        self._now = time.time()
        self.cursors = [self.page(until=self.moment(), limit=1)["next_cursor"] for _ in range(CALLS)]

    def ask(self, status: int, method: str, address: str, headers: Any = None, **options: Any) -> Any:
        answer = self.client.open(address, method=method, headers={**HEADERS, **(headers or {})}, **options)
        assert answer.status_code == status, (address, answer.status_code, answer.get_json())
        return answer.get_json(silent=True)

    def page(self, **query: Any) -> Any:
        return self.ask(200, "GET", LIST, query_string=query)

    def status(self, order_id: str, status: int = 200) -> Any:
        return self.ask(status, "GET", f"{URL}/{order_id}")

    def place(self, status: int, order_id: str, headers: Any = None) -> Any:
        return self.ask(status, "POST", URL, headers, json={**BODY, "order_id": order_id})

    def names(self, **query: Any) -> list[str]:
        """Return order ids spread over all times."""
        pages = [self.page(cursor=cursor, limit=5, **query)["orders"] for cursor in self.cursors]
        return [*{order["order_id"]: None for page in pages for order in page}]

    def moment(self, days_ago: float | None = None) -> str:
        days_ago = self.rng.uniform(1, 729) if days_ago is None else days_ago
        return datetime.fromtimestamp(self._now - days_ago * DAY, UTC).isoformat()

    def cursor(self) -> str:
        cursor: str = self.rng.choice(self.cursors)
        return cursor

    def customer(self) -> str:
        return f"customer.{self.rng.randrange(self._count // 3 + 1)}@example.com"


Case = tuple[str, Callable[[int], Any]]


def lists(shop: Shop) -> Iterator[Case]:
    """Yield each kind of list with its name. It is called with the number of the call."""
    yield "list", lambda _: shop.page()
    yield "list cursor=…", lambda _: shop.page(cursor=shop.cursor())
    several = ("failed,held", "sent,failed", "queued,unknown,held", "cancelled,expired", ",".join(State))
    for states in (*State, *several):
        name = states if len(states) < 30 else "(all of them)"
        yield f"list state={name}", lambda _, states=states: shop.page(state=states)  # type: ignore[misc]
    yield "list state=failed,held cursor=…", lambda _: shop.page(state="failed,held", cursor=shop.cursor())
    yield "list state=failed since=…", lambda _: shop.page(state="failed", since=shop.moment())
    yield "list state=held,unknown until=…", lambda _: shop.page(state="held,unknown", until=shop.moment())
    yield "list since=…", lambda _: shop.page(since=shop.moment())
    yield "list until=…", lambda _: shop.page(until=shop.moment())
    yield "list since=… until=… (one day)", lambda _: shop.page(since=shop.moment(400), until=shop.moment(399))
    yield "list email=… (few mails)", lambda _: shop.page(email=shop.customer())
    yield "list email=… (no mail)", lambda _: shop.page(email="nobody@example.com")
    yield "list email=… (many mails)", lambda _: shop.page(email=REGULAR)
    yield "list email=… since=… (many mails)", lambda _: shop.page(email=REGULAR, since=shop.moment())
    yield "list email=… state=sent (few mails)", lambda _: shop.page(email=shop.customer(), state="sent")
    yield "list email=… state=held (many mails)", lambda _: shop.page(email=REGULAR, state="held")
    yield "list email=… state=failed,held (many mails)", lambda _: shop.page(email=REGULAR, state="failed,held")


def works(shop: Shop, confirmations: OrderConfirmations) -> Iterator[Case]:
    """Yield all other requests; those that send mails come last."""
    yield "/ready", lambda _: shop.ask(200, "GET", "/ready")
    yield "/metrics", lambda _: shop.ask(200, "GET", "/metrics")
    searches = {f"--state {state}": Search(states=(state,)) for state in (State.FAILED, State.HELD, State.EXPIRED)}
    searches |= {"": Search(), "--delivery bounced": Search(deliveries=(Delivery.BOUNCED,))}
    searches |= {"--possible-copies": Search(has_possible_copies=True)}
    for options, search in searches.items():
        yield (
            f"flask outbox list {options}".rstrip(),
            lambda _, search=search: confirmations.search(None, search, None, 20),  # type: ignore[misc]
        )
    known, failed = shop.names(), shop.names(state="failed")
    yield "status", lambda _: shop.status(shop.rng.choice(known))
    yield "status of an unknown order", lambda number: shop.status(f"none-{number}", 404)
    yield "cancel", lambda number: shop.ask(200, "POST", f"{URL}/{failed[-1 - number]}/cancel")
    for number in range(20):
        shop.place(200, f"known-{number}", {"Prefer": "wait=10"})
    yield "the same order again (200)", lambda number: shop.place(200, f"known-{number % 20}")
    yield "another order with a known id (409)", lambda _: shop.place(409, shop.rng.choice(known))
    yield "a new order (202)", lambda number: shop.place(202, f"new-{number}")
    yield "resend", lambda number: shop.ask(202, "POST", f"{URL}/{failed[number]}/resend")


def measure(call: Callable[[int], Any]) -> list[float]:
    """Return the milliseconds of each call, shortest first."""
    call(0)
    times: list[float] = []
    while len(times) < CALLS and (sum(times) < SECONDS * 1e3 or len(times) < 3):
        began = time.perf_counter()
        call(len(times) + 1)
        times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)


def bench(url: str, count: int, folder: str) -> None:
    began = time.monotonic()
    fill(url, count)
    size = f", {Path(folder, 'outbox.db').stat().st_size / 1e9:.1f} GB" if url.startswith("sqlite") else ""
    print(f"\n{url.partition(':')[0]}, {count:,} mails{size}, written in {time.monotonic() - began:.0f} s", flush=True)
    print(f"{'milliseconds':<44}{'p50':>9}{'p95':>9}{'p99':>9}")
    with relay(Path(folder), rtt=0) as sink:
        environ = {"DATABASE_URL": url, "API_KEYS": f"shop:{API_KEY}", "RETENTION_DAYS": "3650", "LOG_LEVEL": "ERROR"}
        app = create_app(Settings.from_env({**environ, **sink.variables}))
        runtime = app.extensions["orderconfirm"]
        runtime.start()
        try:
            shop = Shop(app.test_client(), count)
            for name, call in chain(lists(shop), works(shop, runtime.confirmations)):
                times = measure(call)
                p50, p95, p99 = (times[int(len(times) * share)] for share in (0.5, 0.95, 0.99))
                print(f"{name:<44}{p50:>9.1f}{p95:>9.1f}{p99:>9.1f}", flush=True)
        finally:
            runtime.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgresql"], help="sqlite, postgresql")
    parser.add_argument("--mails", type=int, default=1_000_000, help="default: a million")
    wanted = parser.parse_args()
    if wanted.mails < 100_000:
        parser.error("--mails must be at least 100000: fewer contain too few failed mails to measure")
    for database in wanted.databases:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{folder}/outbox.db"
            if database == "postgresql":
                url = stack.enter_context(postgres_server(installed_programs()[0]))
            bench(url, wanted.mails, folder)


if __name__ == "__main__":
    main()
