"""The layout of the text part, by the columns that characters take on a screen."""

from __future__ import annotations

import pytest

from orderconfirm.mail.text_filters import columns, indented, tidy, width, wrapped

URL = "https://shop.example/" + "y" * 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("注文", 4),
        ("ｶﾅ", 2),
        ("Ａ", 2),
        ("مرحبا", 5),
        ("a\u200bb\u200f", 2),
        ("😀", 2),
        ("❤️", 2),
        ("👨‍👩‍👧‍👦", 2),
        ("🇩🇪", 2),
        ("नमस्ते", 4),
    ],
)
def test_width_counts_columns_on_a_screen(text: str, expected: int) -> None:
    assert width(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("one two", "one two"),
        ("one two three four five", "one two three four\nfive"),
        ("exactly twenty chars", "exactly twenty chars"),
        ("first\nsecond", "first\nsecond"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("  many   blanks  ", "many blanks"),
        ("x" * 45, "\n".join(["x" * 20, "x" * 20, "x" * 5])),
        ("注" * 15, "注" * 10 + "\n" + "注" * 5),
        (f"see {URL} now", f"see\n{URL}\nnow"),
    ],
)
def test_text_is_wrapped_at_blanks_and_cut_only_where_a_word_is_too_wide(text: str, expected: str) -> None:
    assert wrapped(text, 20) == expected


@pytest.mark.parametrize(
    "text", ["word " * 40, "注文番号" * 20, "x" * 300, "mixed 注文 é 😀 " * 15, "e\u0301" * 90, "👨‍👩‍👧‍👦" * 40]
)
@pytest.mark.parametrize("room", [10, 33, 60])
def test_no_wrapped_line_is_wider_than_the_room_and_no_character_is_lost(text: str, room: int) -> None:
    lines = wrapped(text, room).split("\n")
    assert max(map(width, lines)) <= room
    assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("Total", "$119.97", ["Total        $119.97"]),
        ("", "$1", ["                  $1"]),
        ("注文", "￥1", ["注文             ￥1"]),
        ("one two three four five", "$1.00", ["one two three", "four five      $1.00"]),
        ("x" * 30, "$1.00", ["x" * 13, "x" * 13, "xxxx           $1.00"]),
        ("name", "z" * 19, ["name", " " + "z" * 19]),
        ("name", "z" * 30, ["name", "z" * 30]),
    ],
)
def test_columns_stand_at_the_two_ends_of_a_row(left: str, right: str, expected: list[str]) -> None:
    assert columns(left, right, 20).split("\n") == expected


@pytest.mark.parametrize(
    "left", ["Phone Case", "注文" * 30, "e\u0301" * 50, "long words in a long name " * 5, "😀" * 25]
)
@pytest.mark.parametrize("right", ["$1.00", "1.234.567,80\u00a0€", "￥1,200"])
def test_amounts_end_in_the_same_column_whatever_stands_beside_them(left: str, right: str) -> None:
    lines = columns(left, right, 60).split("\n")
    assert lines[-1].endswith(f"  {right}") and width(lines[-1]) == 60
    assert max(map(width, lines)) <= 60


@pytest.mark.parametrize(("text", "expected"), [("a", "  a"), ("a\nb", "  a\n  b"), ("a\n\nb", "  a\n\n  b"), ("", "")])
def test_every_line_with_words_is_moved_in(text: str, expected: str) -> None:
    assert indented(text, 2) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  \nb\t\n", "a\nb\n"),
        ("a\n\n\n\n\nb", "a\n\nb\n"),
        ("a\n \n  \n\nb", "a\n\nb\n"),
        ("\n\na\n\n", "a\n"),
        ("  moved in", "  moved in\n"),
        ("a\n-- \nShop", "a\n-- \nShop\n"),
        ("a --  \n", "a --\n"),
    ],
)
def test_tidy_leaves_no_trailing_blanks_but_the_signature_s(text: str, expected: str) -> None:
    assert tidy(text) == expected
    assert tidy(expected) == expected


def test_an_amount_never_sticks_to_a_url() -> None:
    assert columns("see https://x.example/" + "a" * 30, "1.00", 20).split("\n")[-1] == "1.00".rjust(20)


def test_addresses_and_links_stay_whole_between_wide_characters() -> None:
    text = "ご不明な点がございましたら、このメールにそのままご返信いただくか、orders@shop.exampleまでどうぞ。"
    lines = wrapped(text, 60).split("\n")
    assert any("orders@shop.example" in line for line in lines)
    assert "".join(lines) == text and max(map(width, lines)) <= 60
