"""API_RATE_LIMIT for several processes, with a real Redis, without one, and with one that fails."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from processes import free_port, service, wait_until

from orderconfirm.settings.values import Rate
from orderconfirm.web import shop_limit
from orderconfirm.web.shop_limit import ShopLimit

LIMIT = 20
RATE = Rate(LIMIT, 60.0)
URL = "/api/order-confirmation/1"
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is missing: install the package redis-server"
)


@contextmanager
def redis_server(port: int) -> Iterator[None]:
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/"],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_open(port))
        yield
    finally:
        process.terminate()
        process.wait(40)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def redis_url() -> Iterator[str]:
    port = free_port()
    with redis_server(port):
        yield f"redis://127.0.0.1:{port}/0"


def allowed(limit: ShopLimit, requests: int, shop: str = "shop") -> int:
    return [limit.seconds_to_wait(shop) for _ in range(requests)].count(None)


@needs_redis
def test_two_processes_together_keep_to_the_limit(tmp_path: Path, redis_url: str) -> None:
    assert statuses_of_two_services(tmp_path, RATELIMIT_STORAGE_URL=redis_url) == {404: LIMIT, 429: LIMIT}


def test_without_redis_each_process_has_the_limit_for_itself(tmp_path: Path) -> None:
    assert statuses_of_two_services(tmp_path) == {404: 2 * LIMIT}


def statuses_of_two_services(folder: Path, **variables: str) -> Counter[int]:
    """Send LIMIT requests to each of two services, all at once."""
    ports = [free_port(), free_port()]
    folders = [folder / str(port) for port in ports]
    for each in folders:
        each.mkdir()
    variables = {"API_RATE_LIMIT": f"{LIMIT}/1m", "SENDER": "thread", **variables}
    with (
        service(folders[0], ports[0], free_port(), **variables),
        service(folders[1], ports[1], free_port(), **variables),
        ThreadPoolExecutor(8) as threads,
    ):
        return Counter(threads.map(status, ports * LIMIT))


def status(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{URL}", timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as exc:
        return exc.code


@needs_redis
def test_each_shop_has_its_own_count_in_redis(redis_url: str) -> None:
    here, there = (ShopLimit(RATE, 2, redis_url) for _ in range(2))
    assert allowed(here, LIMIT - 5) == LIMIT - 5
    assert allowed(there, LIMIT) == 5
    assert allowed(there, 1, "other shop") == 1
    wait = here.seconds_to_wait("shop")
    assert wait is not None and 0 < wait <= 60


@pytest.mark.parametrize("processes", [1, 3, 1000])
def test_in_one_machine_each_process_has_its_share(processes: int) -> None:
    assert allowed(ShopLimit(RATE, processes, ""), 2 * LIMIT) == max(1, LIMIT // processes)


def test_while_redis_is_away_requests_are_allowed_and_one_line_is_logged(
    start_app: Callable[..., Flask], log: list[str]
) -> None:
    url = f"redis://me:p4ss-of-redis@127.0.0.1:{free_port()}/0"
    client = start_app(API_RATE_LIMIT="1/1m", RATELIMIT_STORAGE_URL=url).test_client()
    assert [client.get(URL).status_code for _ in range(5)] == [404] * 5
    assert log == ["Redis (RATELIMIT_STORAGE_URL) fails: requests are not limited"]


def test_a_redis_that_does_not_answer_is_asked_once_and_then_left_alone_for_a_while(log: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        assert allowed(ShopLimit(RATE, 1, f"redis://127.0.0.1:{silent.getsockname()[1]}"), 100) == 100
        connection, _ = silent.accept()
        connection.close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert len(log) == 1


@needs_redis
def test_a_redis_that_comes_back_counts_again(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    monkeypatch.setattr(shop_limit, "PAUSE_SECONDS", 0.0)
    port = free_port()
    limit = ShopLimit(RATE, 1, f"redis://127.0.0.1:{port}")
    with redis_server(port):
        assert allowed(limit, 2 * LIMIT) == LIMIT
    assert allowed(limit, 3) == 3
    with redis_server(port):
        assert allowed(limit, 2 * LIMIT) == LIMIT
    assert len(log) == 1


def test_a_service_without_the_package_names_what_to_install() -> None:
    code = "import sys; sys.modules['redis'] = None; from orderconfirm import create_app; create_app()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"RATELIMIT_STORAGE_URL": "redis://me:p4ss-of-redis@localhost", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert "RATELIMIT_STORAGE_URL needs a package that is not installed: pip install 'limits[redis]'" in done.stderr
    assert "p4ss" not in done.stderr
