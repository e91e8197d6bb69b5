"""Schema fields: text, numbers, times, lists. Each error says what to change."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from html.entities import html5
from typing import Any, Literal

from marshmallow import ValidationError, fields, validate

from orderconfirm.order.money import plain

#: C0 and C1 controls, separators, bidi overrides (which disguise text) and lone surrogates. They are not text, and
#: must not reach a header.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROLS_BUT_NEWLINE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Characters that take no room or only blank room: zero-width ones, fillers and direction marks.
_INVISIBLE = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\U000e0000-\U000e0fff]+"
)
#: Closed entities only: "AT&amp;T" means AT&T, but "a&copy=2" has no entity.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,40})?\Z")
_OFFSET_AFTER_SPACE = re.compile(r"\s+(?=[+-]\d\d:?\d\d\Z)")

_MAX = Decimal(10) ** 12
#: Maximum characters of a time, several times what ISO 8601 needs.
MAX_TIME_LENGTH = 100
#: Maximum decimals of a number. A float written out in full has up to about 60.
_MAX_DECIMALS = 100


def _character(entity: re.Match[str]) -> str:
    """Return the character of an entity, or an unknown entity unchanged."""
    is_known = entity[0][1] == "#" or entity[0][1:] in html5
    return html.unescape(entity[0]) if is_known else entity[0]


class Text(fields.Field[str | None]):
    """A string of at most `max_length` characters, trimmed, with spaces for control characters. NUL is an error.

    `numbers`: a JSON number is accepted as its digits, because some shops send numeric ids. `lines`: line breaks are
    kept. `entities`: HTML entities are decoded, because WooCommerce encodes names. `exact`: a control character is an
    error, because an id must not change. An empty string, a lone "-" and invisible characters count as absent.
    """

    default_error_messages = {
        "required": "is missing",
        "null": "must not be null",
        "text": "must be a string",
        "empty": "must not be empty",
        "invisible": "must not consist of invisible characters",
        "long": "must have at most {max_length} characters, but has {length}",
        "nul": "must not contain NUL (\\u0000)",
        "control": "must not contain control characters or line breaks",
    }

    def __init__(
        self,
        max_length: int,
        *,
        numbers: bool = False,
        lines: bool = False,
        entities: bool = False,
        exact: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(allow_none=not options.get("required"), **options)
        self.max_length = max_length
        self.numbers = numbers
        self.controls = _CONTROLS_BUT_NEWLINE if lines else _CONTROLS
        self.entities = entities
        self.exact = exact

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str | None:
        if self.numbers and isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = f"{value:f}" if isinstance(value, Decimal) else str(value)
        if not isinstance(value, str):
            raise self.make_error("text")
        if "\0" in value:
            raise self.make_error("nul")
        if self.exact and _CONTROLS.search(value):
            raise self.make_error("control")
        if self.entities and "&" in value:
            value = _ENTITY.sub(_character, value)
        value = self.controls.sub(" ", value.replace("\r\n", "\n")).strip()
        is_invisible = not value.isascii() and _INVISIBLE.fullmatch(value)
        if not value or value == "-" or is_invisible:
            if self.required:
                raise self.make_error("invisible" if is_invisible else "empty")
            return None
        if len(value) > self.max_length:
            raise self.make_error("long", max_length=self.max_length, length=len(value))
        return str(value)


class Number(fields.Field[Decimal]):
    """A JSON number, or a string of digits with a dot, as `Decimal`. It is never converted to a float."""

    default_error_messages = {
        "required": "is missing",
        "null": "must not be null",
        "number": 'must be a number, or a string like "79.90" with a dot and no thousands separator',
        "large": "is too large",
        "small": "is too close to 0",
        "negative": "must not be negative",
        "positive": "must be above 0",
        "places": "must have at most {places} decimals",
    }

    def __init__(
        self,
        *,
        minimum: Literal["any", "zero", "positive"] = "any",
        places: int | None = None,
        below: Decimal = _MAX,
        negative: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(allow_none=not options.get("required"), **options)
        self.minimum = minimum
        self.places = places
        self.below = below
        if negative:
            self.error_messages["negative"] = negative

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Decimal:
        number = self._decimal(value)
        if not number.is_finite():
            raise self.make_error("number")
        if not number:
            number = abs(number)  # no minus zero
        if number >= self.below or number <= -_MAX:
            raise self.make_error("large")
        if int(number.as_tuple().exponent) < -_MAX_DECIMALS:
            raise self.make_error("places", places=_MAX_DECIMALS)
        if number and number.adjusted() < -40:
            raise self.make_error("small")
        if self.minimum != "any" and number < 0:
            raise self.make_error("negative")
        if self.minimum == "positive" and not number:
            raise self.make_error("positive")
        if self.places is not None:
            number = plain(number)
            if -int(number.as_tuple().exponent) > self.places:
                raise self.make_error("places", places=self.places)
        return number

    def _decimal(self, value: Any) -> Decimal:
        if isinstance(value, str):
            if not _NUMBER.match(value.strip()):
                raise self.make_error("number")
            value = value.strip()
        elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise self.make_error("number")
        try:
            return Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation as exc:
            raise self.make_error("number") from exc


class Timestamp(fields.Field[datetime | None]):
    """An ISO 8601 time as an aware datetime. Without a zone it is UTC."""

    default_error_messages = {
        "null": "must not be null",
        "time": "must be an ISO 8601 time like 2025-03-15T14:30:00Z",
        "year": "must be a year from 1970 to 2999",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_none=not options.get("required"), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> datetime | None:
        if not isinstance(value, str):
            raise self.make_error("time")
        text = value.strip()
        if not text or text == "-":
            return None
        if len(text) > MAX_TIME_LENGTH:
            raise self.make_error("time")
        try:
            time = datetime.fromisoformat(_OFFSET_AFTER_SPACE.sub("", text).upper())
        except ValueError as exc:
            raise self.make_error("time") from exc
        if not 1970 <= time.year <= 2999:
            raise self.make_error("year")
        return time if time.tzinfo else time.replace(tzinfo=UTC)


class DigitsInteger(fields.Integer):
    """A whole number in a query string, of ASCII digits only. Python would also accept 5_0 and ٥."""

    def _validated(self, value: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", str(value)):
            raise self.make_error("invalid")
        return super()._validated(value)


class TextMap(fields.Field[dict[str, str]]):
    """An object of at most `maximum` texts, by names that templates can use. Empty texts are dropped."""

    #: A name after a dot in a template.
    name_pattern = "[A-Za-z][A-Za-z0-9_]{0,49}"
    default_error_messages = {
        "null": "must not be null",
        "object": "must be an object of names and texts",
        "many": "must have at most {maximum} entries",
        "name": "has the name {name}: a name must begin with a letter and have at most 50 letters, digits and _",
    }

    def __init__(self, text: Text, maximum: int, **options: Any) -> None:
        super().__init__(allow_none=True, **options)
        self.text = text
        self.maximum = maximum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise self.make_error("object")
        if len(value) > self.maximum:
            raise self.make_error("many", maximum=self.maximum)
        texts, errors = {}, {}
        for name, text in value.items():
            if not re.fullmatch(self.name_pattern, name):
                raise self.make_error("name", name=repr(name[:50]))
            try:
                texts[name] = self.text.deserialize(text)
            except ValidationError as exc:
                errors[name] = exc.messages
        if errors:
            raise ValidationError(errors)
        return {name: text for name, text in texts.items() if text is not None}


class BoundedList(fields.List[Any]):
    """A list of `minimum` to `maximum` parts. A wrong length is refused before the parts are validated."""

    default_error_messages = {"required": "is missing", "null": "must not be null", "invalid": "must be a list"}

    def __init__(self, part: fields.Field[Any], maximum: int, minimum: int = 0, **options: Any) -> None:
        error = f"must have {minimum} to {maximum} entries" if minimum else f"must have at most {maximum} entries"
        super().__init__(part, validate=validate.Length(minimum or None, maximum, error=error), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        if isinstance(value, list):
            self._validate(value)
        return super()._deserialize(value, attr, data, **options)


class StrictBoolean(fields.Boolean):
    """A JSON true or false; 1, 0 and strings are errors."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value
