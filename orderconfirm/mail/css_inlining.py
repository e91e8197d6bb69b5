"""Style rules written into the elements once, when a template is loaded, instead of for every mail.

The inliner reads HTML, not Jinja: it would move a loop's tags out of their table. So each tag is first replaced by
something that an HTML parser leaves where it is (a comment between elements, a word inside quotes and style rules), and
put back afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import jinja2

#: Elements whose content is not markup (HTML standard, 13.1.2).
_RAW = ("style", "script", "title", "textarea")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_MARK = re.compile(r"<!--jj(\d+)jj-->|jj(\d+)jj")


class CannotInline(Exception):
    """A Jinja tag stands where no mark can take its place."""


def inline_once(source: str, environment: jinja2.Environment, inline: Callable[[str], str]) -> str:
    """`source` with its style rules inlined by `inline` and all its Jinja tags where they were.

    Raises CannotInline.
    """
    position = _Position()
    tags: list[str] = []
    marked = []
    for is_tag, text in _split(source, environment):
        if is_tag and position.place != "comment":
            tags.append(text)
            marked.append(position.mark(len(tags) - 1, text))
        else:
            marked.append(text)
            if not is_tag:
                position.read(text)
    return _MARK.sub(lambda found: tags[int(found[1] or found[2])], inline("".join(marked)))


def _split(source: str, environment: jinja2.Environment) -> Iterator[tuple[bool, str]]:
    """(True, a whole Jinja tag) and (False, what stands between) in turn."""
    opener, tag = "", ""
    for _, kind, text in environment.lex(source):
        if opener:
            tag += text
            if kind == f"{opener}_end":
                yield True, tag
                opener = ""
        elif kind.endswith("_begin"):
            opener, tag = kind.removesuffix("_begin"), text
        else:
            yield kind != "data", text


class _Position:
    """Where in the HTML a reader is: in text, a comment, a tag, an attribute's value, or a raw element."""

    def __init__(self) -> None:
        self.place = "text"
        self._quote = ""
        self._element = ""

    def mark(self, number: int, tag: str) -> str:
        """What stands for a Jinja tag here."""
        if self.place == "tag":
            raise CannotInline(f"inside an HTML tag, but outside quotes: {tag}")
        return f"<!--jj{number}jj-->" if self.place == "text" else f"jj{number}jj"

    def read(self, text: str) -> None:
        """Go on over literal HTML."""
        at = 0
        while 0 <= at < len(text):
            step = getattr(self, f"_in_{self.place}", self._in_raw)
            at = step(text, at)

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
        end = text.lower().find(f"</{self.place}", at)
        if end < 0:
            return end
        self.place, self._element = "tag", ""
        return end + 2
