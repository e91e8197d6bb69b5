"""The metrics of a whole service with two web processes and a sender: they are complete, and no count is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from fork_server import ServiceProcess
from processes import free_port, post, service, stop, wait_until
from prometheus_client.parser import text_string_to_metric_families
from smtp_server import Sink, smtp_server

from orderconfirm.metrics.table import ALL
from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.outbox.dispatcher import POLL_INTERVAL

ROUTE = "/api/order-confirmation"


@dataclass
class Running:
    """A service with a relay. `placed` orders have been accepted."""

    folder: Path
    port: int
    master: ServiceProcess
    sink: Sink
    placed: int = 0

    @property
    def workers(self) -> set[int]:
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.master.pid)], capture_output=True, text=True)
        return set(map(int, found.stdout.split()))

    def scrape(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
            return response.read().decode()  # type: ignore[no-any-return]

    def values(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return each sample by its name and the values of its labels."""
        families = text_string_to_metric_families(self.scrape())
        return {(each.name, (*each.labels.values(),)): each.value for family in families for each in family.samples}

    def place(self, count: int) -> None:
        """Place new orders, several at once."""
        names = [f"K{self.placed + number}" for number in range(count)]
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda name: post(self.port, name), names)) == [202] * count
        self.placed += count
        self.sink.wait_for_orders(self.placed, seconds=30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("metrics"), free_port()
    variables = {"WEB_CONCURRENCY": "2", "SENDER": "process", "BUILD_REVISION": "0a1b2c", "METRICS_EMF": "true"}
    profile = folder / "shops" / f"{DEFAULT_SHOP}.toml"
    profile.parent.mkdir()
    profile.write_text('[webhook]\nformat = "shopify"\nsecret_env = "HOOK_SECRET"\n')
    variables |= {"SHOPS_DIR": str(profile.parent), "HOOK_SECRET": "a secret of the shop"}
    with smtp_server() as (sink, relay_port), service(folder, port, relay_port, **variables) as master:
        yield Running(folder, port, master, sink)


def sent(running: Running) -> float:
    return running.values()["orderconfirm_sends_total", ("sent",)]


def test_n_orders_count_as_n_across_the_death_of_two_processes(running: Running) -> None:
    workers = wait_until(lambda: len(running.workers) == 3 and running.workers, seconds=20)
    earlier: dict[tuple[str, tuple[str, ...]], float] = {}
    for victim in (None, min(workers), max(workers)):
        if victim:
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: len(running.workers - {victim}) == 3, seconds=20)  # type: ignore[misc]
        running.place(20)
        wait_until(lambda: sent(running) == running.placed, seconds=30)
        values = running.values()
        assert values["orderconfirm_http_requests_total", (ROUTE, "POST", "202")] == running.placed
        assert values["orderconfirm_http_request_duration_seconds_count", (ROUTE, "POST")] == running.placed
        assert values["orderconfirm_orders_accepted_total", ()] == running.placed
        assert values["orderconfirm_send_duration_seconds_count", ()] == running.placed
        assert values["orderconfirm_accepted_to_sent_seconds_bucket", ("+Inf",)] == running.placed
        counted = {key: value for key, value in values.items() if key[0].endswith(("_total", "_count", "_bucket"))}
        assert all(counted[key] >= value for key, value in earlier.items())
        earlier = counted


def test_every_documented_metric_is_there_and_no_other(running: Running) -> None:
    running.place(1)
    families = {family.name: family for family in text_string_to_metric_families(running.scrape())}
    names = {each.full_name.removesuffix("_total") for each in ALL}
    assert families.keys() == names
    for metric in ALL:
        family = families[metric.full_name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        assert family.samples, f"{metric.name} has no sample"
        assert all(each.labels.keys() - {"le"} == set(metric.labels) for each in family.samples)


def test_gauges_show_what_the_outbox_and_the_sender_have(running: Running) -> None:
    running.place(1)
    wait_until(lambda: sent(running) == running.placed)
    values = running.values()
    assert values["orderconfirm_build_info", ("0.1.0", "0a1b2c")] == 1
    assert values["orderconfirm_database_up", ()] == 1
    assert values["orderconfirm_senders", ()] == 1
    assert values["orderconfirm_mails", ("queued",)] == 0
    assert values["orderconfirm_relay_paused", ()] == 0
    assert 0 <= values["orderconfirm_webhook_silence_seconds", (DEFAULT_SHOP,)] < 60
    assert values["orderconfirm_dispatcher_idle_seconds", ()] < POLL_INTERVAL + 10
    wait_until(lambda: running.values()["orderconfirm_relay_connections", ()] > 0)


def test_the_embedded_metrics_add_up_to_the_same_after_the_stop(running: Running) -> None:
    running.place(3)
    wait_until(lambda: sent(running) == running.placed)
    stop(running.master)
    log = (running.folder / "service.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith('{"_aws"')]
    assert sum(line.get("orders_accepted_total", 0) for line in lines) == running.placed
    assert sum(line["sends_total"] for line in lines if line.get("outcome") == "sent") == running.placed
    assert sum(line["http_requests_total"] for line in lines if line.get("status") == "202") == running.placed
    assert sum(line.get("accepted_to_sent_seconds_count", 0) for line in lines) == running.placed
