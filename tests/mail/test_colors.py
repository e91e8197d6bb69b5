"""Text colours for any brand colour have the required contrast."""

from __future__ import annotations

import random

import pytest

from orderconfirm.mail.colors import DARK_BACKGROUND, button_colors, contrast, dark_tint, on_color, on_dark, tint

_RANDOM = random.Random(20250315)
COLORS = ["#000000", "#ffffff", "#1f5fbf", "#ffcc00", "#ff0000", "#00ff00", "#0000ff", "#777777", "#767676"]
COLORS += [f"#{_RANDOM.randrange(1 << 24):06x}" for _ in range(40)]


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ffffff", 4.0),
        ("#0000ff", "#ffffff", 8.59),
        ("#FF0000", "#ffffff", 4.0),
    ],
)
def test_contrast_follows_wcag_in_either_order(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)
    assert contrast(other, one) == contrast(one, other)


@pytest.mark.parametrize(
    ("color", "text"),
    [
        ("#000000", "#ffffff"),
        ("#1f5fbf", "#ffffff"),
        ("#ffffff", "#000000"),
        ("#ffcc00", "#000000"),
        ("#00ff00", "#000000"),
    ],
)
def test_text_is_white_on_dark_colours_and_black_on_light_ones(color: str, text: str) -> None:
    assert on_color(color) == text


@pytest.mark.parametrize("color", COLORS)
def test_text_has_the_higher_contrast_of_black_and_white(color: str) -> None:
    assert contrast(on_color(color), color) == max(contrast("#ffffff", color), contrast("#000000", color)) >= 4.5


@pytest.mark.parametrize("color", COLORS)
def test_a_button_in_every_colour_has_readable_text(color: str) -> None:
    background, text = button_colors(color)
    assert contrast(text, background) >= 4.5


@pytest.mark.parametrize(
    ("color", "background", "text"),
    [
        ("#1f5fbf", "#1f5fbf", "#ffffff"),
        ("#000000", "#000000", "#ffffff"),
        ("#00b050", "#00893e", "#ffffff"),
        ("#ffcc00", "#ffd940", "#000000"),
        ("#ffffff", "#ffffff", "#000000"),
    ],
)
def test_a_button_has_the_brand_colour_or_one_close_to_it(color: str, background: str, text: str) -> None:
    assert button_colors(color) == (background, text)


@pytest.mark.parametrize("color", COLORS)
def test_the_quiet_text_is_readable_on_every_tint(color: str) -> None:
    assert contrast("#586270", tint(color)) >= 4.5
    assert contrast("#adb5bf", dark_tint(on_dark(color))) >= 4.5


@pytest.mark.parametrize("color", COLORS)
def test_every_colour_is_readable_on_the_dark_background(color: str) -> None:
    assert contrast(on_dark(color), DARK_BACKGROUND) >= 4.5


@pytest.mark.parametrize("color", [each for each in COLORS if contrast(each, DARK_BACKGROUND) >= 4.5])
def test_a_readable_colour_is_not_changed(color: str) -> None:
    assert on_dark(color) == color


@pytest.mark.parametrize("color", ["#000000", "#1f5fbf", "#ff0000"])
def test_a_colour_is_lightened_and_never_darkened(color: str) -> None:
    lighter = on_dark(color)
    pairs = [(int(color[at : at + 2], 16), int(lighter[at : at + 2], 16)) for at in (1, 3, 5)]
    assert lighter != color and all(before <= after for before, after in pairs)
