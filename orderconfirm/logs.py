"""Logs as JSON lines: one object an event, without secrets and without personal data."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

#: The request that is being answered; it stands in every line that is logged meanwhile.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

#: A local part may be quoted (RFC 5321 section 4.1.2); in a JSON line its quotes have backslashes.
_ADDRESS = re.compile(r"""(?:\\?"[^"@]*\\?"|[^\s@<>",;:()\\]+)@([^\s@<>"',;:()\\]+)""")
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
#: What every log record has; everything else was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask_addresses(text: str) -> str:
    """`text` with each mail address reduced to its domain: relays repeat the recipient in their replies."""
    return _ADDRESS.sub(r"…@\1", text) if "@" in text else text


def printable(text: str) -> str:
    """`text` with a blank for each control character and no lone surrogates, which no database takes."""
    return "".join(each if each.isprintable() else " " for each in text.encode("utf-8", "replace").decode())


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, the request's id and the record's own extras."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
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
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return mask_addresses(_encode(line))


def configure_logging(level: str) -> None:
    """Send the package's log to stderr as JSON lines. Safe to call again."""
    logger = logging.getLogger("orderconfirm")
    logger.setLevel(level)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
