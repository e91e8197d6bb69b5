"""The results of checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What a finding means for the service."""

    #: As it should be.
    OK = "ok"
    #: The service works, but something is unwise or could not be determined.
    WARNING = "warning"
    #: The service does not start, loses orders or cannot send.
    ERROR = "error"
    #: Not checked, because an earlier check failed or there is nothing to check.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what was found and, for a warning or an error, what to do."""

    name: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The findings about one subject."""

    title: str
    findings: tuple[Finding, ...]


def ok(name: str, found: str) -> Finding:
    return Finding(name, Status.OK, found)


def warning(name: str, found: str, advice: str) -> Finding:
    return Finding(name, Status.WARNING, found, advice)


def error(name: str, found: str, advice: str) -> Finding:
    return Finding(name, Status.ERROR, found, advice)


def skipped(name: str, reason: str) -> Finding:
    return Finding(name, Status.SKIPPED, f"skipped: {reason}")


def error_of(name: str, sentence: str, advice: str) -> Finding:
    """Return the error that a sentence describes, split at the colon into what is wrong and what to do.

    `advice` is used when there is no colon.
    """
    found, _, own_advice = sentence.partition(": ")
    return error(name, found, own_advice or advice)
