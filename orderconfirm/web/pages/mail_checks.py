"""Checks of a finished mail: what mail programs clip, drop or hide, and what only works on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parseaddr
from html.parser import HTMLParser
from ipaddress import ip_address
from urllib.parse import urlsplit

from orderconfirm.smtp.local_inbox import InboxMail

#: Gmail shows about this many bytes of the HTML part, then a link to the rest.
CLIPPED_AT = 102_000
#: Characters of a subject that a wide list of mails shows.
MAX_SUBJECT = 70
#: Top-level domains that never receive or send mail (RFC 2606).
_RESERVED = ("example", "invalid", "localhost", "test")
#: Elements that mail programs remove or ignore.
_DROPPED = frozenset("audio button canvas embed form iframe input link object script select svg textarea video".split())
#: Invisible characters that fill the rest of the preview line.
_FILLING = re.compile(r"[\s\u00a0\u00ad\u034f\u2007\u200b-\u200d\ufeff]{6,}")
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\bundefined\b|\bNaN\b")


@dataclass(frozen=True, slots=True)
class Check:
    is_passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of a mail, failed ones first, and the targets of its links without repetition."""

    checks: tuple[Check, ...]
    links: tuple[str, ...]

    @property
    def failed(self) -> int:
        return sum(not check.is_passed for check in self.checks)


def check_mail(mail: InboxMail) -> Report:
    """Return the report on a mail."""
    outline = _Outline(mail.html)
    checks = sorted(_checks(mail, outline), key=lambda check: check.is_passed)
    return Report(tuple(checks), tuple(dict.fromkeys(outline.links)))


class _Outline(HTMLParser):
    """What the checks need of an HTML part."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.language = ""
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self._skipped = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("type") != "application/ld+json":  # data, which mail programs read
            self.tags.add(tag)
        if tag == "html":
            self.language = values.get("lang") or ""
        elif tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        elif tag == "img":
            self.images.append(values)
        elif tag in ("style", "script", "title"):
            self._skipped = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipped:
            self._skipped = ""

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.text += data


def _checks(mail: InboxMail, outline: _Outline) -> Iterator[Check]:
    size = len(mail.html.encode())
    yield _check(
        size <= CLIPPED_AT,
        f"The HTML has {_kilobytes(size)}. Gmail clips a mail above {_kilobytes(CLIPPED_AT)}.",
        f"The HTML has {_kilobytes(size)}. Gmail clips it at {_kilobytes(CLIPPED_AT)}: leave out lines or styles.",
    )
    yield _check(
        bool(mail.text.strip()),
        "There is a plain text part for programs that show no HTML.",
        "There is no plain text part: some programs show nothing, and spam filters count it.",
    )
    length = len(mail.subject)
    yield _check(
        0 < length <= MAX_SUBJECT,
        f"The subject has {length} characters. Lists of mails show up to {MAX_SUBJECT}.",
        f"The subject has {length} characters: lists of mails show 1 to {MAX_SUBJECT}.",
    )
    preview = _FILLING.split(outline.text.strip())[0].strip()
    yield _check(
        len(preview) >= 10 and not preview.startswith(mail.subject),
        f"Lists of mails show after the subject: “{_short(preview)}”",
        "The HTML begins with no text of its own for lists of mails, which show it after the subject.",
    )
    domain = parseaddr(mail.sender)[1].rpartition("@")[2].lower()
    yield _check(
        domain.rpartition(".")[2] not in _RESERVED,
        f"The sender’s domain is {domain}.",
        f"The sender’s domain {domain} is reserved for examples, and relays refuse it: set EMAIL_SENDER.",
    )
    yield from _checks_of_html(mail.html, outline)


def _checks_of_html(html: str, outline: _Outline) -> Iterator[Check]:
    sources = [image.get("src") or "" for image in outline.images]
    yield _none(
        [image.get("src") or "?" for image in outline.images if image.get("alt") is None],
        "Every image has an alternative text, or an empty one for decoration.",
        "Images without an alternative text leave a gap where images are blocked",
    )
    yield _none(
        [address for address in (*outline.links, *sources) if not _is_safe(address)],
        "Every link and image is encrypted (https).",
        "Addresses that are not absolute https are blocked or warned about by mail programs",
    )
    yield _none(
        [address for address in (*outline.links, *sources) if _is_local(address)],
        "Every link and image can be reached from other machines.",
        "Addresses that work only on this machine or its network",
    )
    yield _none(
        sorted(outline.tags & _DROPPED),
        "The HTML has no element that mail programs remove.",
        "Elements that mail programs remove",
    )
    yield _none(
        _PLACEHOLDER.findall(outline.text),
        "No placeholder of a template is visible.",
        "Text that looks like a placeholder of a template",
    )
    yield _check(
        "prefers-color-scheme" in html,
        "The HTML has colours for dark mode.",
        "The HTML has no colours for dark mode: programs invert its colours as they like.",
    )
    yield _check(
        bool(outline.language),
        f"The HTML states its language, {outline.language}.",
        "The HTML states no language: screen readers read it aloud in their user’s.",
    )


def _check(is_passed: bool, passed: str, failed: str) -> Check:
    return Check(is_passed, passed if is_passed else failed)


def _none(found: list[str], passed: str, failed: str) -> Check:
    """Return a check that fails with the first few of `found`."""
    names = ", ".join(_short(each) for each in found[:3]) + (", …" if len(found) > 3 else "")
    return _check(not found, passed, f"{failed}: {names}.")


def _is_safe(address: str) -> bool:
    return address.lower().startswith(("https://", "mailto:", "tel:", "cid:"))


def _is_local(address: str) -> bool:
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return False
    if not host:
        return False
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))


def _kilobytes(size: int) -> str:
    return f"{size / 1000:.1f} kB".replace(".0 ", " ")


def _short(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:89]}…"
