"""Text colours for a brand colour, with the contrast that WCAG 2.2 requires (4.5:1)."""

from __future__ import annotations

#: The background of the mail's card in dark mode, as in the templates.
DARK_BACKGROUND = "#1e2227"
_MIN_CONTRAST = 4.5


def on_color(color: str) -> str:
    """Return white or black, whichever has more contrast on `color` (#rrggbb)."""
    return max(("#ffffff", "#000000"), key=lambda text: contrast(text, color))


def on_dark(color: str) -> str:
    """Return `color`, lightened until its contrast on the dark background is sufficient."""
    red, green, blue = _channels(color)
    for step in range(101):
        share = step / 100
        lighter = "#" + "".join(f"{round(c + (255 - c) * share):02x}" for c in (red, green, blue))
        if contrast(lighter, DARK_BACKGROUND) >= _MIN_CONTRAST:
            return lighter
    return "#ffffff"


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
