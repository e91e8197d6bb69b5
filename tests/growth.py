"""A check that four times the length of a text costs about four times the CPU time, and texts to try it with."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest

from orderconfirm.errors import InvalidRequest

#: Seconds of CPU time below which a cost says nothing.
NOISE = 0.0005
#: Four times the length may cost so many times as much: linear is 4, quadratic is 16.
MAX_RATIO = 8
Grow = Callable[[int], Any]


def cost(work: Callable[[Any], object], value: Any) -> float:
    """Seconds of this thread's CPU time, without the garbage collector's, which depends on everything else."""
    gc.disable()
    try:
        began = time.thread_time()
        with suppress(ValidationError, InvalidRequest, BadRequest):
            work(value)
        return time.thread_time() - began
    finally:
        gc.enable()


def expect_linear(work: Callable[[Any], object], shapes: Mapping[str, Grow], length: int) -> None:
    """Fail when `work` on any shape of `length` costs far more than four times as much as on a quarter of it.

    One high ratio may be another process's fault, so five tries must agree.
    """
    for name, grow in shapes.items():
        tries: list[tuple[float, float]] = []
        while not tries or (len(tries) < 5 and _is_too_much(*tries[-1])):
            long = cost(work, grow(length))
            tries.append((cost(work, grow(length // 4)) if long > MAX_RATIO * NOISE else NOISE, long))
        assert not _is_too_much(*tries[-1]), f"{name}: {tries} s, the second for four times the length"


def _is_too_much(short: float, long: float) -> bool:
    return long > MAX_RATIO * max(short, NOISE)


def repeated(unit: str) -> Callable[[int], str]:
    return lambda length: unit * (length // len(unit))


#: What makes one pattern or another begin again and again.
TEXTS: dict[str, Callable[[int], str]] = {
    "letters": repeated("a"),
    "letters before a bare @": lambda length: "a" * length + " @",
    "blanks": repeated(" "),
    "a year, blanks and a letter": lambda length: "2025" + " " * length + "x",
    "an offset after blanks": lambda length: "2025-03-15T14:30:00" + " " * length + "+01:00",
    "a time with decimals": lambda length: "2025-03-15T14:30:00." + "0" * length,
    "times": repeated("1:11 "),
    "digits": repeated("9"),
    "decimals": lambda length: "0." + "9" * length,
    "quotes": repeated('"'),
    "quoted words": repeated('"a" '),
    "escaped quotes": repeated('\\"'),
    "backslashes": repeated("\\"),
    "at signs": repeated("@"),
    "addresses": repeated("a@b "),
    "addresses without blanks": repeated("a@b"),
    "apostrophes": repeated("'"),
    "addresses with apostrophes": repeated("a@b'"),
    "dots": repeated("."),
    "labels": repeated("a."),
    "ways up": repeated("/.."),
    "slashes": repeated("/"),
    "verbs": repeated("/cancel"),
    "schemes": repeated("https://"),
    "brackets": repeated("["),
    "less-than signs": repeated("<"),
    "ampersands": repeated("&"),
    "open entities": repeated("&#"),
    "entities": repeated("&amp;"),
    "commas": repeated(", "),
    "states": repeated("sent,"),
    "preferences": repeated("wait = "),
    "subtags": repeated("a-"),
    "line breaks": repeated("\n"),
    "carriage returns": repeated("\r\n"),
    "control characters": repeated("\x01"),
    "lone surrogates": repeated("\ud800"),
    "combining marks": repeated("\u0301"),
    "words of combining marks": repeated("\u0301 "),
    "marks after a wide start": lambda length: "注" * 40 + "\u0301" * length,
    "marks after a narrow start": lambda length: "x" * 70 + "\u0301" * length,
    "variation selectors": lambda length: "注" * 40 + "\ufe0f" * length,
    "zero-width spaces": repeated("\u200b"),
    "regional indicators": repeated("🇩"),
    "CJK": repeated("注"),
    "CJK and links": repeated("注https://x "),
    "emoji": repeated("😀"),
    "letters with marks": repeated("e\u0301"),
    "words": repeated("word "),
    "senders": repeated("from address "),
    "messages": repeated("messages "),
    "messages over": lambda length: "messages " * (length // 9) + "exceed",
    "limits": repeated("limit "),
    "exceeded messages and limits": repeated("exceeded messages limit size "),
    "times to try again": repeated("try again in 9 "),
}


BODIES: dict[str, Grow] = {
    "letters": lambda length: b"a" * length,
    "a string": lambda length: b'"' + b"a" * length + b'"',
    "an open string": lambda length: b'"' + b"a" * length,
    "escapes": lambda length: b'"' + rb"\ud83d" * (length // 6) + b'"',
    "an integer": lambda length: b'{"total":' + b"9" * length + b"}",
    "a decimal": lambda length: b'{"total":0.' + b"9" * length + b"}",
    "an exponent": lambda length: b'{"total":1e' + b"9" * length + b"}",
    "integers": lambda length: b"[" + b"9999," * (length // 5) + b"9]",
    "integers as long as may be": lambda length: b"[" + (b"9" * 4300 + b",") * (length // 4301) + b"9]",
    "keys": lambda length: b"{" + b",".join(b'"%x":0' % number for number in range(length // 9)) + b"}",
    "one key again and again": lambda length: b"{" + b",".join([b'"a":0'] * (length // 6)) + b"}",
    "keys and the last one twice": lambda length: (
        b"{" + b",".join(b'"%x":0' % number for number in range(length // 9)) + b',"0":0}'
    ),
    "depth": lambda length: b"[" * length,
    "closed depth": lambda length: b'{"a":' * (length // 6) + b"0" + b"}" * (length // 6),
    "blanks": lambda length: b" " * length,
    "lines": lambda length: b"{}\n" * (length // 3),
    "lines that cannot be read": lambda length: b"{\n" * (length // 2),
    "objects": lambda length: b"[" + b"{}," * (length // 3) + b"{}]",
    "what is not UTF-8": lambda length: b"\xff" * length,
}
