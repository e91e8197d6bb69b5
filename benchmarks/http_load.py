"""A load driver: places N orders over C keep-alive connections, each as soon as the previous one is answered.

Run it as a process of its own: `python -m benchmarks.http_load PORT --orders 1000`. It prints its results as JSON, and
writes a line for each accepted order: its id, the time of the POST, the seconds until the response. After a 429, a
503 or a broken connection the order is repeated, which causes no second mail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TextIO, cast

from benchmarks.orders import API_KEY, URL, make_body, order_ids

RETRY_SECONDS = 0.1


def percentile(values: list[float], share: float) -> float:
    """Return the percentile at `share` (0 to 1) of the values; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An accepted order, the time of its POST, and the seconds until its response."""

    order_id: str
    posted_at: float
    seconds: float


class Driver:
    """The state that the connections share: pending orders and responses. `gap` is the seconds between two orders."""

    def __init__(self, port: int, orders: list[str], gap: float = 0.0) -> None:
        self.port = port
        self.gap = gap
        self.todo = deque(orders)
        self.answers: list[Answer] = []
        self.statuses: Counter[int] = Counter()
        self.done = asyncio.Event()
        self._count = len(orders)
        head, tail = json.dumps(make_body("@"), separators=(",", ":")).split("@", 1)
        self._head, self._tail = head.encode(), tail.encode()
        self._start = (
            f"POST {URL} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {API_KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def request(self, order_id: str) -> bytes:
        body = self._head + order_id.encode() + self._tail
        return b"%b%d\r\n\r\n%b" % (self._start, len(body), body)

    def note(self, order_id: str, posted_at: float, status: int) -> float:
        """Record a response; status 0 is a broken connection. Returns the seconds until the next order."""
        self.statuses[status] += 1
        if status in (0, 429, 503):
            self.todo.appendleft(order_id)
            return RETRY_SECONDS
        self._count -= 1
        if 200 <= status < 300:
            self.answers.append(Answer(order_id, posted_at, time.time() - posted_at))
        if not self._count:
            self.done.set()
        return self.gap

    async def run(self, connections: int, seconds: float) -> None:
        """Place all orders, or as many as possible in `seconds`."""
        await asyncio.gather(*(self.connect() for _ in range(connections)))
        try:
            await asyncio.wait_for(self.done.wait(), seconds)
        except TimeoutError:
            self.done.set()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.done.is_set():
            try:
                await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.port)
                return
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one pending request."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._order: str | None = None
        self._posted_at = 0.0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._order is not None:
            self._driver.note(self._order, self._posted_at, 0)
        if not self._driver.done.is_set():
            self._task = self._loop.create_task(self._driver.connect())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head) or self._order is None:
            return
        self._received = b""
        order, self._order = self._order, None
        pause = self._driver.note(order, self._posted_at, int(head[9:12]))
        if pause:
            self._loop.call_later(pause, self._post)
        else:
            self._post()

    def _post(self) -> None:
        if self._transport is None or self._order is not None or self._driver.done.is_set():
            return
        if not self._driver.todo:
            self._loop.call_later(RETRY_SECONDS, self._post)  # an order of another connection may have to be repeated
            return
        self._order = self._driver.todo.popleft()
        self._posted_at = time.time()
        self._transport.write(self._driver.request(self._order))


def _content_length(head: bytes) -> int:
    _, _, value = head.lower().partition(b"\r\ncontent-length:")
    return int(value.partition(b"\r\n")[0] or 0)


async def load(options: argparse.Namespace, out: TextIO) -> dict[str, object]:
    driver = Driver(options.port, order_ids(options.prefix, options.orders), options.gap / 1000)
    await driver.run(options.connections, options.seconds)
    for answer in driver.answers:
        out.write(f"{answer.order_id}\t{answer.posted_at:.6f}\t{answer.seconds:.6f}\n")
    first = min((answer.posted_at for answer in driver.answers), default=0.0)
    last = max((answer.posted_at + answer.seconds for answer in driver.answers), default=0.0)
    latencies = [answer.seconds for answer in driver.answers]
    return {
        "accepted": len(driver.answers),
        "accepted_per_second": len(driver.answers) / (last - first) if last > first else 0.0,
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "statuses": {str(status): count for status, count in driver.statuses.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Place orders as fast as they are answered.")
    parser.add_argument("port", type=int)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--prefix", default="ORD")
    parser.add_argument("--gap", type=float, default=0.0, help="milliseconds between a response and the next order")
    parser.add_argument("--seconds", type=float, default=120.0, help="give up after this long")
    parser.add_argument("--out", default="/dev/null", help="file with one line per accepted order")
    options = parser.parse_args()
    with open(options.out, "w", encoding="ascii") as out:
        print(json.dumps(asyncio.run(load(options, out))))


if __name__ == "__main__":
    main()
