"""Inlining of CSS rules into a template when it is loaded, instead of into every mail.

The inliner parses HTML, not Jinja: it would move a loop's tags out of their table. So each Jinja tag is replaced by a
placeholder that an HTML parser does not move (a comment between elements, a word within quotes and style rules), and
restored afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import jinja2

#: Elements whose content is not parsed as markup (HTML standard, 13.1.2).
_RAW = ("style", "script", "title", "textarea")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_PLACEHOLDER = re.compile(r"<!--jj(\d+)jj-->|jj(\d+)jj")


class CannotInline(Exception):
    """A Jinja tag is at a position where no placeholder is possible."""


def inline_once(source: str, environment: jinja2.Environment, inline: Callable[[str], str]) -> str:
    """Return `source` with its CSS rules inlined by `inline`, and its Jinja tags unchanged. Raises CannotInline."""
    if _PLACEHOLDER.search(source):
        raise CannotInline("the template contains a text like a placeholder (jj0jj)")
    position = _Position()
    tags: list[str] = []
    parts = []
    for is_tag, text in _split(source, environment):
        if is_tag and position.place != "comment":
            tags.append(text)
            parts.append(position.placeholder(len(tags) - 1, text))
        else:
            parts.append(text)
            if not is_tag:
                position.advance(text)
    return _PLACEHOLDER.sub(lambda match: tags[int(match[1] or match[2])], inline("".join(parts)))


def _split(source: str, environment: jinja2.Environment) -> Iterator[tuple[bool, str]]:
    """Yield (True, a whole Jinja tag) and (False, the literal text between tags)."""
    opener, tag = "", ""
    for _, category, text in environment.lex(source):
        if opener:
            tag += text
            if category == f"{opener}_end":
                yield True, tag
                opener = ""
        elif category.endswith("_begin"):
            opener, tag = category.removesuffix("_begin"), text
        else:
            yield category != "data", text


class _Position:
    """The position in the HTML: in text, a comment, a tag, an attribute value or a raw element."""

    def __init__(self) -> None:
        self.place = "text"
        self._quote = ""
        self._element = ""

    def placeholder(self, number: int, tag: str) -> str:
        """Return the placeholder for a Jinja tag at this position. Raises CannotInline when none is possible."""
        if self.place == "tag":
            raise CannotInline(f"inside an HTML tag, but outside quotes: {tag}")
        return f"<!--jj{number}jj-->" if self.place == "text" else f"jj{number}jj"

    def advance(self, text: str) -> None:
        """Move over literal HTML."""
        at = 0
        while 0 <= at < len(text):
            scan = getattr(self, f"_in_{self.place}", self._in_raw)
            at = scan(text, at)

    def _in_text(self, text: str, at: int) -> int:
        at = text.find("<", at)
        if at < 0:
            return at
        if text.startswith("<!--", at):
            self.place = "comment"
            return at + 4
        name = _NAME.match(text, at + 1)
        if name or text[at + 1 : at + 2] in ("/", "!"):
            self.place, self._element = "tag", name[0].lower() if name else ""
        return name.end() if name else at + 1

    def _in_comment(self, text: str, at: int) -> int:
        end = text.find("-->", at)
        if end < 0:
            return end
        self.place = "text"
        return end + 3

    def _in_tag(self, text: str, at: int) -> int:
        if text[at] in "\"'":
            self.place, self._quote = "value", text[at]
        elif text[at] == ">":
            self.place = self._element if self._element in _RAW else "text"
        return at + 1

    def _in_value(self, text: str, at: int) -> int:
        end = text.find(self._quote, at)
        if end < 0:
            return end
        self.place = "tag"
        return end + 1

    def _in_raw(self, text: str, at: int) -> int:
        end = re.compile(f"</{self.place}", re.IGNORECASE | re.ASCII).search(text, at)
        if end is None:
            return -1
        self.place, self._element = "tag", ""
        return end.start() + 2
