"""What services and the package say during the tests, searched for personal data, keys and secrets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, Protocol

from factories import make_body
from sqlalchemy.engine import make_url

from orderconfirm.order.models import Customer
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import Settings

#: Shorter values are found by chance.
MIN_LENGTH = 5
#: Mail addresses and telephone numbers, also those that only one test has.
_PATTERNS = (r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", r"\+\d[\d ()-]{7,}\d")
#: The caller's own X-Request-ID is logged as it is. Callers are told so.
_ALLOWED = re.compile(r'"request_id": "[^"]*"')


def _personal_values() -> Iterator[str]:
    """Yield what the test orders say about their customers."""
    for customer in (Customer(**make_body()["customer"]), *(order.customer for order in SAMPLES.values())):
        yield from (customer.name, customer.email, customer.email.partition("@")[0], customer.phone or "")
        yield from re.split(r", |\n", customer.address or "")
    for order in SAMPLES.values():
        for address in filter(None, (order.billing_address, order.shipping_address)):
            yield from address.lines


def secrets_of(variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the keys, passwords and tokens in a service's environment."""
    for each in fields(Settings):
        name = each.metadata["env"]
        value = variables.get(name, "") if each.metadata["secret"] else ""
        if name == "API_KEYS":
            yield from (pair.partition(":")[2].strip() for pair in value.split(","))
        elif name.endswith("_URL"):
            yield (value and make_url(value).password) or ""
        else:
            yield value


class Pollable(Protocol):
    """A process that may have ended."""

    def poll(self) -> int | None: ...


class PrintedOutput:
    """The watched output, and what must not be in it. Each line is examined once."""

    def __init__(self) -> None:
        self._words = {word for word in _personal_values() if len(word) >= MIN_LENGTH}
        self._pattern: re.Pattern[str] | None = None
        #: The log of each process, open where the examined part ends. A test may move the file or delete it.
        self._files: dict[Pollable, BinaryIO] = {}
        self._findings: list[str] = []

    def learn(self, variables: Mapping[str, str]) -> None:
        """Also look for the secrets in a service's environment. Raises ValueError for an English word."""
        secrets = {word for word in secrets_of(variables) if len(word) >= MIN_LENGTH}
        if words := [secret for secret in secrets if secret.isalpha() and secret.islower() and len({*secret}) > 1]:
            raise ValueError(f"{words} may be in a line by chance: let the test have other secrets")
        self._words |= secrets
        self._pattern = None

    def watch(self, process: Pollable, path: Path, variables: Mapping[str, str]) -> None:
        """Examine what a service process writes to `path` from now on."""
        self.learn(variables)
        self._files[process] = path.open("rb")
        self._files[process].seek(0, os.SEEK_END)

    def examine(self, text: str, source: str) -> None:
        """Note the lines with something that must not be there."""
        if self._pattern is None:
            words = sorted(self._words | {json.dumps(word, ensure_ascii=False)[1:-1] for word in self._words})
            self._pattern = re.compile("|".join([*map(re.escape, words), *_PATTERNS]))
        for line in text.splitlines():
            if found := self._pattern.search(_ALLOWED.sub("", line)):
                self._findings.append(f"{found[0]!r} in {source}: {line[:2000]}")

    def take_findings(self) -> list[str]:
        """Examine what has been written meanwhile, and return everything that was found since the last call."""
        for process, file in list(self._files.items()):
            has_ended = process.poll() is not None
            text = file.read()
            if has_ended:
                self._files.pop(process).close()
            else:
                rest = text.rpartition(b"\n")[2]
                file.seek(-len(rest), os.SEEK_CUR)
                text = text[: len(text) - len(rest)]
            self.examine(text.decode("utf-8", "replace"), str(file.name))
        findings, self._findings = self._findings, []
        return findings


#: Everything that is printed in this test process and by the services that it starts.
OUTPUT = PrintedOutput()
