"""Strict JSON: what an order's body is read with, over HTTP and from a file."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

#: A larger exponent is far beyond every double, and its digits would fill the memory.
_MAX_EXPONENT = 1000


class InvalidJson(ValueError):
    """The text is not JSON (RFC 8259). The message is a sentence that says where and why."""


def parse_json(body: bytes, is_strict: bool = True) -> Any:
    """Return the value of a JSON text, its numbers as `Decimal`. Raises InvalidJson.

    Without `is_strict`, duplicate names and bytes that are not UTF-8 are accepted, and numbers become floats, or text
    when they have too many digits.
    """
    hooks = _STRICT if is_strict else _LENIENT
    try:
        return json.loads(body.decode("utf-8-sig", "strict" if is_strict else "replace"), **hooks)
    except json.JSONDecodeError as exc:
        raise InvalidJson(f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except UnicodeDecodeError as exc:
        raise InvalidJson(f"The body is not UTF-8: byte {exc.start} does not fit.") from exc
    except RecursionError as exc:
        raise InvalidJson("The JSON is nested too deeply.") from exc
    except ArithmeticError as exc:
        raise InvalidJson("The body has a number that is too large or too small to be read.") from exc
    except ValueError as exc:
        # Python's own advice on integers of more than 4300 digits is not for the shop.
        reason = "a number has too many digits" if "digits" in str(exc) else str(exc)
        raise InvalidJson(f"The body cannot be read: {reason}.") from exc


def _decimal(text: str) -> Decimal:
    """A number whose digits can be written out: those of 1e999999999 would take 1 GB. Raises ArithmeticError."""
    number = Decimal(text)
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise OverflowError(f"{text[:60]} has too large an exponent")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number (RFC 8259)")


def _absurd(digits: str) -> int | str:
    return int(digits) if len(digits) < 40 else digits[:40]


def _object_without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259 leaves open which of two equal names counts; an amount must not depend on that."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {double[:60]!r} stands twice in one object")
    return members


_STRICT: dict[str, Any] = {
    "parse_float": _decimal,
    "parse_constant": _refuse_constant,
    "object_pairs_hook": _object_without_doubles,
}
_LENIENT: dict[str, Any] = {"parse_int": _absurd}
