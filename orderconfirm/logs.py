"""Logs as JSON lines: one object an event, without secrets and without personal data."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

#: The request that is being answered; it stands in every line that is logged meanwhile.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

#: An address, whose local part may be quoted (RFC 5321 section 4.1.2; its quotes may be escaped, as in JSON), or a word
#: that is none. Each word is taken whole: a search that began again at each of its letters would take quadratic time.
_ADDRESS_OR_WORD = re.compile(r"""(?:\\?"[^"@]*+"|[^\s@<>",;:()\\]++)@([^\s@<>"',;:()\\]++)|[^\s@<>",;:()\\]++""")
#: The longest value that is logged, in characters.
MAX_LOGGED = 4000
_encode = json.JSONEncoder(ensure_ascii=False).encode
#: What every log record has; everything else was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask_addresses(text: str) -> str:
    """`text` with each mail address reduced to its domain: relays repeat the recipient in their replies."""
    return _ADDRESS_OR_WORD.sub(_masked, text) if "@" in text else text


def _masked(found: re.Match[str]) -> str:
    return f"…@{found[1]}" if found[1] else found[0]


def shortened(text: str, longest: int) -> str:
    """`text` with at most `longest` characters. It ends at a blank: half an address could not be masked any more."""
    return text if len(text) <= longest else f"{text[: longest - 1].rpartition(' ')[0]}…"


def printable(text: str) -> str:
    """`text` with a blank for each control character and no lone surrogates, which no database takes."""
    return "".join(each if each.isprintable() else " " for each in text.encode("utf-8", "replace").decode())


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, the request's id and the record's own extras."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line.update(
            (name, value) for name, value in vars(record).items() if name not in _STANDARD and value is not None
        )
        told = {name: _loggable(value) for name, value in line.items()}
        if record.exc_info:
            told["trace"] = mask_addresses(self.formatException(record.exc_info))
        return _encode(told)


def _loggable(value: object) -> object:
    """A number as it is, anything else as text without addresses."""
    return value if isinstance(value, int | float) else mask_addresses(shortened(str(value), MAX_LOGGED))


def configure_logging(level: str) -> None:
    """Send the package's log to stderr as JSON lines. Safe to call again."""
    logger = logging.getLogger("orderconfirm")
    logger.setLevel(level)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
