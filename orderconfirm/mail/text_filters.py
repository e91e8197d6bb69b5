"""Filters for the plain text part: columns and wrapping by the width that a screen gives each character."""

from __future__ import annotations

import re
import textwrap
import unicodedata

_BLANK_LINES = re.compile(r"\n{3,}")


def width(text: str) -> int:
    """Columns on a screen: East Asian wide characters take two, combining and invisible ones none (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(_width_of(character) for character in text)


def _width_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, columns: int) -> str:
    """`text` in lines of at most `columns`; only a URL may be longer, for it must stay whole."""
    return close_idle("\n".join(line for paragraph in text.split("\n") for line in _lines(paragraph, columns))).rstrip(
        "\n"
    )


def columns(left: str, right: str, total: int) -> str:
    """`left` and `right` at the two ends of a row `total` columns wide; a long `left` takes more rows above."""
    room = total - width(right) - 2
    if room < total // 3:
        # An order number is copied and searched for: it stays whole, whatever its width.
        return "\n".join([*_lines(left, total), f"{' ' * (total - width(right))}{right}"])
    *before, last = _lines(left, room)
    if width(last) > room:  # a URL, which stays whole
        before, last = [*before, last], ""
    gap = " " * (total - width(last) - width(right))
    return "\n".join([*before, f"{last}{gap}{right}"])


def indented(text: str, spaces: int) -> str:
    """Every line moved in."""
    return textwrap.indent(text, " " * spaces)


def close_idle(text: str) -> str:
    """No blanks at line ends, never more than one empty line, one line break at the end."""
    lines = (line.rstrip() if line != "-- " else line for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n") + "\n"


#: A run of narrow characters stays whole; between wide ones (CJK, which has no blanks) a line may end anywhere.
_PIECES = re.compile("[\u1100-\uffdc\U0001f000-\U0003fffd]|[^\u1100-\uffdc\U0001f000-\U0003fffd]+")
#: What must be copied whole.
_WHOLE = re.compile(r"://|\S@\S")


def _lines(text: str, room: int) -> list[str]:
    lines = [""]
    for word in text.split():
        blank = " " if lines[-1] else ""
        if width(f"{lines[-1]}{blank}{word}") <= room:
            lines[-1] += f"{blank}{word}"
            continue
        if width(word) <= room:
            lines.append(word)
            continue
        pieces = _PIECES.findall(word)
        if len(pieces) == 1:
            lines.append("")
            blank = ""
        for piece in pieces:
            if width(f"{lines[-1]}{blank}{piece}") <= room:
                lines[-1] += f"{blank}{piece}"
            elif _WHOLE.search(piece) or width(piece) <= room:
                lines.append(piece)
            else:
                lines += _broken(piece, room)
            blank = ""
    return [line for line in lines if line] or [""]


def _broken(word: str, room: int) -> list[str]:
    """A word cut where it is too wide."""
    pieces = [""]
    for character in word:
        if width(pieces[-1]) + _width_of(character) > room:
            pieces.append("")
        pieces[-1] += character
    return pieces
