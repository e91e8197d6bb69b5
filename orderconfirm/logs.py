"""Structured logs: one JSON object per line, without secrets or personal data."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

#: The id of the current request, added to every line that is logged while it is handled.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

#: An address, whose local part may be quoted (RFC 5321 section 4.1.2) with escaped quotes as in JSON, or another word.
#: Matching other words too keeps the search linear: it never starts again inside a word.
_ADDRESS_OR_WORD = re.compile(r"""(?:\\?"[^"@]*+"|[^\s@<>",;:()\\]++)@([^\s@<>"',;:()\\]++)|[^\s@<>",;:()\\]++""")
#: Maximum characters of a logged value.
MAX_LOGGED = 4000
_encode = json.JSONEncoder(ensure_ascii=False).encode
#: The attributes of every log record. All others come from `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask_addresses(text: str) -> str:
    """Return `text` with each mail address reduced to its domain. Relays repeat the recipient in their replies."""
    return _ADDRESS_OR_WORD.sub(_masked, text) if "@" in text else text


def _masked(found: re.Match[str]) -> str:
    return f"…@{found[1]}" if found[1] else found[0]


def shortened(text: str, max_length: int) -> str:
    """Return at most `max_length` characters, cut at a blank, because half an address would not be masked."""
    return text if len(text) <= max_length else f"{text[: max_length - 1].rpartition(' ')[0]}…"


def printable(text: str) -> str:
    """Return `text` with spaces for control characters and without lone surrogates, which databases refuse."""
    return "".join(each if each.isprintable() else " " for each in text.encode("utf-8", "replace").decode())


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, logger, message, request id, and its `extra` values."""

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
        values = {name: _loggable(value) for name, value in line.items()}
        if record.exc_info:
            values["trace"] = mask_addresses(self.formatException(record.exc_info))
        return _encode(values)


def _loggable(value: object) -> object:
    """Return a number unchanged, and anything else as text without addresses."""
    return value if isinstance(value, int | float) else mask_addresses(shortened(str(value), MAX_LOGGED))


def configure_logging(level: str) -> None:
    """Send the package's log to stderr as JSON lines. Calling it again is harmless."""
    # Our lines do not contain thread or process data; collecting it costs time.
    logging.logThreads = logging.logMultiprocessing = False
    logger = logging.getLogger("orderconfirm")
    logger.setLevel(level)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
