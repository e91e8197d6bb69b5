"""Text colours for a brand colour, by the contrast that WCAG 2.2 asks for (4.5:1)."""

from __future__ import annotations

#: The dark card behind the mail in dark mode; the templates use the same.
DARK_BACKGROUND = "#1e2227"
_ENOUGH = 4.5


def on_color(color: str) -> str:
    """White or black, whichever reads better on `color` (#rrggbb)."""
    return max(("#ffffff", "#000000"), key=lambda text: contrast(text, color))


def on_dark(color: str) -> str:
    """`color`, lightened until it reads on the dark background."""
    red, green, blue = _channels(color)
    for step in range(101):
        share = step / 100
        lighter = "#" + "".join(f"{round(c + (255 - c) * share):02x}" for c in (red, green, blue))
        if contrast(lighter, DARK_BACKGROUND) >= _ENOUGH:
            return lighter
    return "#ffffff"


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
