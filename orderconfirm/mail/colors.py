"""Colours made of the brand colour, with the contrast that WCAG 2.2 requires of text (4.5:1)."""

from __future__ import annotations

from collections.abc import Callable

#: The background of the mail's card in dark mode, as in the templates.
DARK_BACKGROUND = "#1e2227"
_WHITE, _BLACK = "#ffffff", "#000000"
_MIN_CONTRAST = 4.5
#: Contrast with white from which a colour is darkened for white text; a lighter one is lightened for black text.
_DARK_ENOUGH = 2.5
#: Brightness from 0 to 255. When Chromium inverts colours, it leaves backgrounds below 205 as they are, but makes black
#: text on them white.
_INVERTED_BRIGHTNESS = 210
#: Share of the brand colour in a tint.
_LIGHT_TINT, _DARK_TINT = 0.08, 0.14


def button_colors(color: str) -> tuple[str, str]:
    """Return the background and the text of a button in the colour `color` (#rrggbb) or close to it.

    The text is readable as it is, and when a mail program inverts the colours.
    """
    if contrast(_WHITE, color) >= _DARK_ENOUGH:
        return _first(color, _BLACK, lambda darker: contrast(_WHITE, darker) >= _MIN_CONTRAST), _WHITE
    return _first(color, _WHITE, lambda lighter: _brightness(lighter) >= _INVERTED_BRIGHTNESS), _BLACK


def on_dark(color: str) -> str:
    """Return `color`, lightened until its contrast on the dark background is sufficient."""
    return _first(color, _WHITE, lambda lighter: contrast(lighter, DARK_BACKGROUND) >= _MIN_CONTRAST)


def on_color(color: str) -> str:
    """Return white or black, whichever has more contrast on `color`."""
    return max((_WHITE, _BLACK), key=lambda text: contrast(text, color))


def tint(color: str) -> str:
    """Return white with a little of `color`, for a background."""
    return _mix(_WHITE, color, _LIGHT_TINT)


def dark_tint(color: str) -> str:
    """Return the dark background with a little of `color`."""
    return _mix(DARK_BACKGROUND, color, _DARK_TINT)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _first(color: str, end: str, is_sufficient: Callable[[str], bool]) -> str:
    """Return the first colour on the way from `color` to `end` that is sufficient, or else `end`."""
    way = (_mix(color, end, step / 100) for step in range(101))
    return next(filter(is_sufficient, way), end)


def _mix(color: str, other: str, share: float) -> str:
    """Return `color` with a share (0 to 1) of `other`."""
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)


def _brightness(color: str) -> float:
    red, green, blue = _channels(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
