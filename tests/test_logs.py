"""Logs as JSON lines, without the addresses that relays repeat."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from processes import ROOT

from orderconfirm.logs import MAX_LISTED, JsonFormatter, TerminalFormatter, mask_addresses, shortened


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("550 5.1.1 <john.doe@example.com>: no such user", "550 5.1.1 <…@example.com>: no such user"),
        ("o'brien@example.com", "…@example.com"),
        ('"john doe"@example.com refused', "…@example.com refused"),
        ("a@x.example, b@y.example", "…@x.example, …@y.example"),
        ("user+tag=1@example.com", "…@example.com"),
        ("no address @ all", "no address @ all"),
        ("o'brien@example.com'jane@example.com", "…@example.com…@example.com"),
        (
            '{"reason": "<john@example.com>", "by": "jane@example.com"}',
            '{"reason": "<…@example.com>", "by": "…@example.com"}',
        ),
        (r'{"reason": "\"john doe\"@example.com"}', '{"reason": "…@example.com"}'),
        ("", ""),
    ],
)
def test_an_address_is_reduced_to_its_domain(text: str, masked: str) -> None:
    assert mask_addresses(text) == masked


def test_a_record_is_one_json_object_with_its_extras_and_no_address() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": "mail %s", "args": ("sent",), "reason": '"john doe"@example.com\n'}
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["event"], told["logger"], told["reason"]) == ("mail sent", "n", "…@example.com\n")


@pytest.mark.parametrize("text", ["@", "@shop", 'a "@', '"@shop" "a"@b.example'])
def test_a_line_is_json_whatever_stands_in_it(text: str) -> None:
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "%s", "args": (text,), "order_id": text})))
    assert line["event"] == line["order_id"] == mask_addresses(text)


def test_a_long_value_is_cut_before_an_address_that_could_not_be_masked_any_more() -> None:
    text = "a " * 1990 + "john.doe-with-a-long-name@example.com"
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"reason": text})))
    assert line["reason"] == "a " * 1989 + "a…"
    assert shortened("x" * 5000, 4000) == "…"


def test_numbers_stay_numbers() -> None:
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"code": 550, "seconds": 0.5})))
    assert (line["code"], line["seconds"]) == (550, 0.5)


def test_a_line_that_is_logged_for_a_request_names_it(
    start_app: Callable[..., Flask], lines: list[dict[str, Any]]
) -> None:
    client = start_app(API_KEYS="shop:a-long-random-key").test_client()
    answers = [client.get("/api/order-confirmations", headers=named) for named in ({"X-Request-ID": "abc-1"}, {})]
    logging.getLogger("orderconfirm.web.auth").warning("afterwards")
    found = [line.get("request_id") for line in lines if line["logger"] == "orderconfirm.web.auth"]
    assert found == ["abc-1", answers[1].headers["X-Request-ID"], None]


def test_a_list_stays_a_list_and_is_limited() -> None:
    values = ["john@example.com", *"abc", *map(str, range(100))]
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"order_ids": values})))
    assert line["order_ids"][:2] == ["…@example.com", "a"]
    assert len(line["order_ids"]) == MAX_LISTED


def test_the_row_that_postgresql_quotes_is_left_out(postgres_outbox: str) -> None:
    name = "Eleonore Quist"
    with psycopg.connect(postgres_outbox) as server, pytest.raises(psycopg.Error) as caught:
        server.execute("CREATE TEMPORARY TABLE people (name TEXT NOT NULL CHECK (name = ''))")
        server.execute("INSERT INTO people VALUES (%s)", [name])
    line = JsonFormatter().format(logging.makeLogRecord({"exc_info": (caught.type, caught.value, caught.tb)}))
    assert name in str(caught.value)
    assert "CheckViolation" in line
    assert name not in line


#: Says something in every way in which a part of a service can.
TALK = """
import logging, sys, threading, warnings
from orderconfirm.logs import configure_logging, configure_service_logging

configure_service_logging("INFO")
configure_logging("INFO")
logging.getLogger("orderconfirm.part").info("half a pair: \\ud83d", extra={"order_id": "K1", "shop": None})
logging.getLogger("orderconfirm.part").debug("not asked for")
logging.getLogger("some.library").warning("from a library")
warnings.warn("a warning")
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()

class Falling:
    def __del__(self):
        raise ValueError("in vain")

Falling()
raise RuntimeError("the end")
"""


def test_what_others_say_does_not_control_a_terminal() -> None:
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "x", "reason": "550 \x1b[2J\x07gone"})
    assert TerminalFormatter().format(record).endswith("reason=\x1b[22m550  [2J gone")


def test_everything_that_a_service_says_is_a_json_line_on_stdout() -> None:
    done = subprocess.run([sys.executable, "-c", TALK], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=30)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert [(line["level"], line["event"].partition("\n")[0], line["logger"]) for line in told] == [
        ("INFO", "half a pair: \ud83d", "orderconfirm.part"),
        ("WARNING", "from a library", "some.library"),
        ("WARNING", "<string>:10: UserWarning: a warning", "py.warnings"),
        ("ERROR", "an exception ended a thread", "orderconfirm.logs"),
        ("ERROR", "an exception was ignored", "orderconfirm.logs"),
        ("CRITICAL", "an exception ended the process", "orderconfirm.logs"),
    ]
    assert told[0].keys() == {"time", "level", "event", "order_id", "logger"}
    assert told[3]["thread_name"] == "worker"
    for line, error in zip(told[3:], ("ZeroDivisionError", "ValueError", "RuntimeError"), strict=True):
        assert line["trace"].splitlines()[-1].startswith(error)


def test_a_terminal_gets_readable_lines_in_colour() -> None:
    ours, theirs = pty.openpty()
    with open(ours, encoding="utf-8", errors="replace") as terminal:
        done = subprocess.run([sys.executable, "-c", TALK], cwd=ROOT, stdout=theirs, stderr=theirs, timeout=30)
        os.close(theirs)
        first = terminal.readline()
    assert done.returncode == 1
    time, level, event = r"\x1b\[2m\d\d:\d\d:\d\d\.\d{3}\x1b\[22m", r"\x1b\[32mINFO    \x1b\[39m", "half a pair: .*"
    assert re.fullmatch(rf"{time} {level}{event}  \x1b\[2morder_id=\x1b\[22mK1\n", first)
