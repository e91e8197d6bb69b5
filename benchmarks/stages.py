"""The cost of each stage of an order: microseconds of CPU time of one thread, and wall time.

The stages run one after the other in this process, on an SQLite file and over one open connection to the sink. The
minimum of several rounds counts, because other load only adds time. Threads and HTTP are not included: the total is
less than the CPU time of an order in the report.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.databases import new_mail
from benchmarks.mail import our_message
from benchmarks.orders import SAMPLE, order_ids
from benchmarks.relay import relay
from benchmarks.report import table
from orderconfirm import create_app
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import ClaimedMail, NewMail, RelayReply
from orderconfirm.order.json_body import parse_json
from orderconfirm.order.models import Order
from orderconfirm.order.schemas import OrderSchema, load_order
from orderconfirm.order.serialization import decode_payload, encode_payload, to_order
from orderconfirm.outbox.additions import Addition, Additions
from orderconfirm.outbox.capacity import Capacity
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.leases import AttemptResult, FinishedAttempt
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import SENT
from orderconfirm.queries import COMMON_ACCOUNT
from orderconfirm.runtime import Runtime
from orderconfirm.settings import TEMPLATES, Settings
from orderconfirm.smtp.sender import SmtpSender

GROUP = 16
ROUNDS, ORDERS = 7, 160
LEASE_SECONDS = 600.0


@dataclass
class Cost:
    """The minimum CPU time and wall time of a round, in microseconds per order."""

    stage: str
    cpu: float = float("inf")
    wall: float = float("inf")


class Stages:
    """The stages of `ORDERS` orders. Each round takes new orders through all of them."""

    def __init__(self, database: Database, sender: SmtpSender, renderer: MailRenderer, orders: int) -> None:
        self._database = database
        self._additions = Additions(database, Capacity(1_000_000))
        self._queue = OutboxQueue(database, 1_000_000)
        self._sender = sender
        self._renderer = renderer
        self._schema = OrderSchema()
        self._orders = orders
        self._costs: dict[str, Cost] = {}

    @property
    def costs(self) -> list[Cost]:
        return list(self._costs.values())

    def run(self, name: str) -> None:
        """Run a round. `name` begins the ids of its orders."""
        source = SAMPLE.read_text(encoding="utf-8")
        texts = [source.replace("ORD-12345", order_id).encode() for order_id in order_ids(name, self._orders)]
        parsed = self._each("parse the JSON", parse_json, texts)
        bodies = self._each("validate", self._validate, parsed)
        mails = self._each("build the order and its fingerprint", _build, bodies)
        self._each(f"store, {GROUP} in a transaction", self._store, _groups(mails))
        claimed = self._each(f"claim, {GROUP} in a transaction", self._claim, _groups(mails))
        claims = [mail for group in claimed for mail in group]
        orders = self._each("decode the stored order", _decode, claims)
        emails = self._each("render", self._renderer.render, orders)
        pairs = list(zip(emails, orders, strict=True))
        self._each("build the MIME message", _message, pairs)
        messages = [self._sender.prepare(mail) for mail in claims]
        replies = self._each("send over an open connection", self._sender.send, messages)
        ended = _groups([_settlement(*each) for each in zip(claims, replies, strict=True)])
        self._each(f"settle, {GROUP} in a transaction", self._settle, ended)

    def _each(self, stage: str, call: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Call for each item and keep the minimum times. The CPU time is that of all threads of this process."""
        cost = self._costs.setdefault(stage, Cost(stage))
        cpu, wall = time.process_time(), time.perf_counter()
        results = [call(item) for item in items]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        cost.cpu = min(cost.cpu, cpu / self._orders * 1e6)
        cost.wall = min(cost.wall, wall / self._orders * 1e6)
        return results

    def _validate(self, body: Any) -> dict[str, Any]:
        return load_order(self._schema, body)[0]

    def _store(self, mails: Sequence[NewMail]) -> None:
        self._database.write_all([(self._additions.add_all, Addition.of(mail)) for mail in mails])

    def _claim(self, mails: Sequence[NewMail]) -> list[ClaimedMail]:
        return self._queue.exchange([], {COMMON_ACCOUNT: len(mails)}, LEASE_SECONDS).claimed

    def _settle(self, finished_attempts: Sequence[FinishedAttempt]) -> None:
        exchange = self._queue.exchange(finished_attempts, {}, 0.0)
        assert all(each is True for each in exchange.settled), exchange


def _build(body: dict[str, Any]) -> NewMail:
    mail = new_mail(body)
    to_order(mail.request, mail.defaults, datetime.now(UTC))
    encode_payload(mail.request, mail.defaults)
    return mail


def _decode(mail: ClaimedMail) -> Order:
    return to_order(*decode_payload(mail.payload), mail.accepted_at)


def _message(pair: tuple[Any, Order]) -> bytes:
    return our_message(*pair)


def _settlement(mail: ClaimedMail, reply: RelayReply) -> FinishedAttempt:
    return FinishedAttempt.of(mail, SENT, AttemptResult("end_of_data", reply.code, reply.text, 0.1))


def _groups(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + GROUP] for start in range(0, len(items), GROUP)]


def measure(rounds: int, orders: int) -> list[Cost]:
    """Return the cost of each stage, in processing order."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orderconfirm-")))
        sink = stack.enter_context(relay(folder, rtt=0))
        variables = {**sink.variables, "MAIL_MAX_PER_CONNECTION": "1000000", "LOG_LEVEL": "ERROR"}
        settings = Settings.from_env({**variables, "DATABASE_URL": f"sqlite:///{folder}/outbox.db"})
        runtime: Runtime = create_app(settings).extensions["orderconfirm"]
        assert settings.relay
        sender = runtime.relay_accounts.mail_sender()
        stack.callback(sender.close)
        runtime.database.open()
        stack.callback(runtime.database.close)
        stages = Stages(runtime.database, sender, MailRenderer(settings, [TEMPLATES]), orders)
        for number in range(rounds):
            stages.run(f"S{number}")
        return stages.costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small rounds")
    options = parser.parse_args()
    costs = measure(*((2, GROUP) if options.quick else (ROUNDS, ORDERS)))
    rows = [(cost.stage, f"{cost.cpu:.0f}", f"{cost.wall:.0f}") for cost in costs]
    total = ("total", f"{sum(cost.cpu for cost in costs):.0f}", f"{sum(cost.wall for cost in costs):.0f}")
    print(f"\n{table(('stage of one order', 'µs of CPU', 'µs'), [*rows, total])}")


if __name__ == "__main__":
    main()
