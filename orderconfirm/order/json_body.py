"""The strict JSON parser for order bodies, over HTTP and from a file."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

#: Maximum decimal exponent. That of a double is 308.
_MAX_EXPONENT = 1000
#: Integers with at least this many characters become text in lenient parsing.
_MAX_DIGITS = 40


class InvalidJson(ValueError):
    """The text is not JSON (RFC 8259). The message is a sentence that says where and why."""


def parse_json(body: bytes, is_strict: bool = True) -> Any:
    """Return the value of a JSON text. Integers are int; numbers with a fraction or an exponent are Decimal.

    Without `is_strict`, duplicate names and bytes that are not UTF-8 are accepted, numbers with a fraction or an
    exponent are floats, and integers of 40 or more digits are text. Raises InvalidJson.
    """
    hooks = _STRICT if is_strict else _LENIENT
    try:
        return json.loads(body.decode("utf-8-sig", "strict" if is_strict else "replace"), **hooks)
    except json.JSONDecodeError as exc:
        raise InvalidJson(f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except UnicodeDecodeError as exc:
        raise InvalidJson(f"The body is not UTF-8: byte {exc.start} is not valid.") from exc
    except RecursionError as exc:
        raise InvalidJson("The body's JSON is nested too deeply.") from exc
    except ArithmeticError as exc:
        raise InvalidJson("The body has a number that is too large or too small.") from exc
    except ValueError as exc:
        # Python's message about integers of more than 4,300 digits advises the programmer, not the caller.
        reason = "a number has too many digits" if "digits" in str(exc) else str(exc)
        raise InvalidJson(f"The body cannot be read: {reason}.") from exc


def _decimal(text: str) -> Decimal:
    """Return the number. Raises ArithmeticError for huge exponents: 1e999999999 written in digits would take 1 GB."""
    number = Decimal(text)
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise OverflowError(f"the exponent of {text[:60]} is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number (RFC 8259)")


def _integer_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) < _MAX_DIGITS else digits[:_MAX_DIGITS]


def _object_with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Raises ValueError for repeated names, because RFC 8259 does not say which value counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {repeated[:60]!r} appears twice in one object")
    return members


_STRICT: dict[str, Any] = {
    "parse_float": _decimal,
    "parse_constant": _refuse_constant,
    "object_pairs_hook": _object_with_unique_names,
}
_LENIENT: dict[str, Any] = {"parse_int": _integer_or_text}
