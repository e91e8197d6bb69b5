"""Template filters for the plain text part: columns and wrapping by display width."""

from __future__ import annotations

import re
import textwrap
from functools import lru_cache

import wcwidth

_BLANK_LINES = re.compile(r"\n{3,}")


def width(text: str) -> int:
    """Return the display width: 2 for wide East Asian characters and emoji, 0 for combining and invisible ones."""
    if text.isascii():
        return len(text)
    # Grapheme by grapheme, because wcwidth takes quadratic time for a long run of regional indicators.
    return sum(_width_of(grapheme) for grapheme in wcwidth.iter_graphemes(text))


def _width_of(grapheme: str) -> int:
    return wcwidth.width(grapheme, control_codes="ignore")


def wrapped(text: str, columns: int) -> str:
    """Wrap `text` into lines of at most `columns`. A URL is not broken, so its line may be longer."""
    if "\n" not in text and width(line := " ".join(text.split())) <= columns:
        return line
    return tidy("\n".join(line for paragraph in text.split("\n") for line in _lines(paragraph, columns))).rstrip("\n")


def columns(left: str, right: str, total: int) -> str:
    """Put `left` and `right` at the two ends of a row of `total` columns. A long `left` is wrapped into rows above."""
    room = total - width(right) - 2
    if room < total // 3:
        # An order number is copied and searched for, so it must not be broken.
        return "\n".join([*_lines(left, total), f"{' ' * (total - width(right))}{right}"])
    line = " ".join(left.split())
    *before, last = (line,) if width(line) <= room else _lines(left, room)
    if width(last) > room:  # a URL
        before, last = [*before, last], ""
    gap = " " * (total - width(last) - width(right))
    return "\n".join([*before, f"{last}{gap}{right}"])


def left_to_right(text: str, direction: str) -> str:
    """Isolate a telephone number or code in right-to-left text (UAX #9), which would reverse its groups of digits."""
    return f"\u2066{text}\u2069" if direction == "rtl" else text


def indented(text: str, spaces: int) -> str:
    """Indent every line."""
    return textwrap.indent(text, " " * spaces)


def tidy(text: str) -> str:
    """Remove blanks at line ends and repeated empty lines, and end with one line break."""
    lines = (line.rstrip() if line != "-- " else line for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n") + "\n"


#: A run of narrow characters is one piece. Between wide ones (CJK, written without blanks) a line may break anywhere.
_PIECES = re.compile("[\u1100-\uffdc\U0001f000-\U0003fffd]|[^\u1100-\uffdc\U0001f000-\U0003fffd]+")
#: URLs and addresses, which must be copied in one piece.
_WHOLE = re.compile(r"://|\S@\S")


@lru_cache(maxsize=256)
def _lines(text: str, room: int) -> tuple[str, ...]:
    """Return `text` in lines of at most `room` columns. Most long texts are the shop's, the same in every mail."""
    lines = _Lines(room)
    for word in text.split():
        lines.add(word)
    return lines.filled()


class _Lines:
    """Lines of at most `room` columns. The width of the last line is counted as it is filled, so the cost is linear."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lines: list[str] = []
        self._last: list[str] = []
        self._used = 0

    def add(self, word: str) -> None:
        """Append a word to the last line or a new one, in pieces if it is wider than a line."""
        blank = " " if self._last else ""
        wide = width(word)
        if self._fits(len(blank) + wide):
            self._append(blank + word, len(blank) + wide)
        elif wide <= self._room:
            self._begin()
            self._append(word, wide)
        else:
            self._add_pieces(_PIECES.findall(word), blank)

    def filled(self) -> tuple[str, ...]:
        """Return the lines that are not empty, at least one."""
        self._begin()
        return tuple(self._lines or [""])

    def _add_pieces(self, pieces: list[str], blank: str) -> None:
        if len(pieces) == 1:
            self._begin()
            blank = ""
        for piece in pieces:
            wide = width(piece)
            if self._fits(len(blank) + wide):
                self._append(blank + piece, len(blank) + wide)
            elif wide <= self._room or _WHOLE.search(piece):
                self._begin()
                self._append(piece, wide)
            else:
                self._add_broken(piece)
            blank = ""

    def _add_broken(self, piece: str) -> None:
        """Break a piece that is wider than a line."""
        self._begin()
        for grapheme in wcwidth.iter_graphemes(piece):
            wide = _width_of(grapheme)
            if not self._fits(wide):
                self._begin()
            self._append(grapheme, wide)

    def _fits(self, wide: int) -> bool:
        return self._used + wide <= self._room

    def _begin(self) -> None:
        if self._last:
            self._lines.append("".join(self._last))
        self._last = []
        self._used = 0

    def _append(self, text: str, wide: int) -> None:
        self._last.append(text)
        self._used += wide
