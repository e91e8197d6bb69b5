"""The programs in examples/, run as a shop would run them against a real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from factories import make_body
from processes import ROOT, free_port, query, service, wait_until
from smtp_server import smtp_server

#: By the example's suffix: what runs it, what must be installed, and how to install it.
LANGUAGES = {
    "sh": ("sh", "curl", "Debian: apt-get install curl"),
    "py": (sys.executable, sys.executable, ""),
    "php": ("php", "php", "Debian: apt-get install php-cli"),
    "mjs": ("node", "node", "install Node.js 20.19 or later"),
}
KEYS = {suffix: f"key-of-the-shop-in-{suffix}" for suffix in LANGUAGES}
WRONG_KEY = "a-key-that-nobody-was-given"


@dataclass
class Running:
    """A service in which each example is a shop of its own."""

    folder: Path
    port: int

    def run(self, suffix: str, key: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """Run an example in `folder`; skips the test when its interpreter is not installed."""
        interpreter, needed, how_to_install = LANGUAGES[suffix]
        if shutil.which(needed) is None:
            pytest.skip(f"no {needed}: install it ({how_to_install})")
        return subprocess.run(
            [interpreter, ROOT / "examples" / f"place_order.{suffix}"],
            cwd=folder,
            # Nothing else: no proxy stands between the example and the service.
            env={
                "PATH": os.environ["PATH"],
                "ORDERCONFIRM_URL": f"http://127.0.0.1:{self.port}",
                "ORDERCONFIRM_API_KEY": key,
            },
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    def orders(self, suffix: str) -> list[tuple[object, ...]]:
        return query(self.folder, f"SELECT order_id, state FROM outbox WHERE shop = '{suffix}'")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    keys = ",".join(f"{suffix}:{key}" for suffix, key in KEYS.items())
    with smtp_server() as (_, relay_port), service(folder, port, relay_port, API_KEYS=keys):
        yield Running(folder, port)


def test_the_api_page_links_every_example() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = {path.name for path in ROOT.glob("examples/place_order.*")}
    assert names == {f"place_order.{suffix}" for suffix in LANGUAGES}
    assert all(f"(../examples/{name})" in page for name in names)


@pytest.mark.parametrize("suffix", LANGUAGES)
def test_an_example_places_a_new_order_each_time(running: Running, suffix: str) -> None:
    for _ in range(2):
        done = running.run(suffix, KEYS[suffix])
        assert (done.returncode, done.stderr) == (0, "")
        assert "Order confirmation queued" in done.stdout
    wait_until(lambda: [state for _, state in running.orders(suffix)] == ["sent", "sent"])
    ids = {str(order_id) for order_id, _ in running.orders(suffix)}
    assert len(ids) == 2 and all(re.fullmatch("ORD-[0-9a-z-]{13,}", order_id) for order_id in ids)


@pytest.mark.parametrize("suffix", LANGUAGES)
def test_an_example_with_a_wrong_key_fails_with_the_words_of_the_problem(running: Running, suffix: str) -> None:
    done = running.run(suffix, WRONG_KEY)
    assert done.returncode != 0
    assert "Send your API key as Authorization" in done.stderr
    assert WRONG_KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("suffix", LANGUAGES)
def test_an_example_tells_what_is_wrong_with_an_order(running: Running, suffix: str, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    body = make_body(order_id="WRONG", total="a lot")
    (tmp_path / "examples" / "order.json").write_text(json.dumps(body), encoding="utf-8")
    done = running.run(suffix, KEYS[suffix], tmp_path)
    assert done.returncode != 0
    assert "1 error; nothing was stored." in done.stderr and "/total" in done.stderr
    assert KEYS[suffix] not in done.stdout + done.stderr


@pytest.mark.parametrize("suffix", LANGUAGES)
def test_an_example_says_in_one_sentence_that_nobody_answers(tmp_path: Path, suffix: str) -> None:
    done = Running(tmp_path, free_port()).run(suffix, WRONG_KEY)
    assert done.returncode != 0
    assert WRONG_KEY not in done.stdout + done.stderr
    assert re.fullmatch(r"(The service does not answer|curl: ).*\n", done.stderr)
