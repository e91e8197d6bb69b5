"""Structured logs: one JSON object per line, without secrets or personal data.

A service logs everything to stdout, a command only the package's lines, to stderr: its stdout is its result.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import TextIO

log = logging.getLogger(__name__)

#: The id of the current request, added to every line that is logged while it is handled.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

#: An address, whose local part may be quoted (RFC 5321 section 4.1.2) with escaped quotes as in JSON, or another word.
#: Matching other words too keeps the search linear: it never starts again inside a word.
_ADDRESS_OR_WORD = re.compile(r"""(?:\\?"[^"@]*+"|[^\s@<>",;:()\\]++)@([^\s@<>"',;:()\\]++)|[^\s@<>",;:()\\]++""")
#: The line in which PostgreSQL quotes the row that it refuses.
_ROW = re.compile(r"^DETAIL:.*\n?", re.MULTILINE)
#: Maximum characters of a logged value, and values of a logged list.
MAX_LOGGED = 4000
MAX_LISTED = 20
_encode = json.JSONEncoder(ensure_ascii=False).encode
#: The attributes of every log record. All others come from `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: The colour of each level on a terminal.
_COLORS = {"DEBUG": 90, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 31}


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
    """Formats a record as JSON: time, level, event, request id, its `extra` values, and the logger's name."""

    def format(self, record: logging.LogRecord) -> str:
        return _encode(_fields(record))


class TerminalFormatter(logging.Formatter):
    """Formats the same fields for a person: time of day, level and event in colour, then the others."""

    def format(self, record: logging.LogRecord) -> str:
        # A relay's reply must not control the terminal.
        fields = {name: "\n".join(map(printable, str(value).splitlines())) for name, value in _fields(record).items()}
        time, level, event, trace = (fields.pop(name, "") for name in ("time", "level", "event", "trace"))
        details = "".join(f"  \x1b[2m{name}=\x1b[22m{value}" for name, value in fields.items() if name != "logger")
        line = f"\x1b[2m{time[11:23]}\x1b[22m \x1b[{_COLORS.get(level, 0)}m{level:<8}\x1b[39m{event}{details}"
        return f"{line}\n{trace}" if trace else line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what a line says, in order, without addresses. An `extra` value that is None is left out."""
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "event": _loggable(record.getMessage()),
    }
    if current := request_id.get():
        fields["request_id"] = current
    for name, value in vars(record).items():
        if name not in _STANDARD and value is not None:
            fields[name] = _loggable(value)
    fields["logger"] = record.name
    if record.exc_info:
        trace = logging.Formatter().formatException(record.exc_info)
        fields["trace"] = mask_addresses(_ROW.sub("", trace))
    return fields


def _loggable(value: object, max_length: int = MAX_LOGGED) -> object:
    """Return a number unchanged, a list with its first values, and anything else as text without addresses."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple):
        return [_loggable(each, max_length // MAX_LISTED) for each in value[:MAX_LISTED]]
    return mask_addresses(shortened(str(value), max_length))


def configure_logging(level: str) -> None:
    """Log the package's lines to stderr, unless this process logs already. Calling it again only sets the level."""
    logger = logging.getLogger("orderconfirm")
    logger.setLevel(level)
    if not logger.hasHandlers():
        logger.propagate = False
        logger.addHandler(_handler(sys.stderr))


def configure_service_logging(level: str) -> None:
    """Log everything that this process has to say to stdout: also what libraries, warnings and exceptions say."""
    if isinstance(sys.stdout, TextIOWrapper):
        # Half a surrogate pair, which a client may send, must not cost the line.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    logging.getLogger().addHandler(_handler(sys.stdout))
    logging.captureWarnings(True)
    sys.excepthook = lambda *exc_info: log.critical("an exception ended the process", exc_info=exc_info)
    threading.excepthook = lambda end: log.error(
        "an exception ended a thread",
        extra={"thread_name": end.thread.name if end.thread else None},
        exc_info=(end.exc_type, end.exc_value, end.exc_traceback),  # type: ignore[arg-type]
    )
    sys.unraisablehook = lambda ignored: log.error("an exception was ignored", exc_info=ignored.exc_value)
    configure_logging(level)


def _handler(stream: TextIO) -> logging.Handler:
    # Our lines do not contain thread or process data; collecting it costs time.
    logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TerminalFormatter() if stream.isatty() else JsonFormatter())
    return handler
