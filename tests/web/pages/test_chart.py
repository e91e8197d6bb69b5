"""The chart of mails a minute: its bars, and the same in words."""

from __future__ import annotations

from orderconfirm.web.pages.chart import HEIGHT, MINUTES, STEP, draw


def test_an_hour_without_mail_has_no_bars() -> None:
    chart = draw([0] * MINUTES)
    assert (chart.bars, chart.total, chart.description) == ((), 0, "No mail was sent in the last hour.")


def test_the_highest_bar_fills_the_chart_and_the_lowest_can_be_seen() -> None:
    chart = draw([0] * (MINUTES - 3) + [1000, 1, 0])
    highest, lowest = chart.bars
    assert (highest.x, highest.y, highest.height) == ((MINUTES - 3) * STEP, 1, HEIGHT - 2)
    assert lowest.height == 2 and lowest.y + lowest.height == HEIGHT - 1


def test_the_words_have_what_the_bars_show() -> None:
    chart = draw([3] + [0] * (MINUTES - 3) + [7, 1])
    assert chart.description == (
        "Mails sent a minute: 11 in the last hour, 8 of them in the last five minutes, at most 7 a minute "
        "(1 minute ago)."
    )


def test_fewer_minutes_than_an_hour_end_at_the_right() -> None:
    chart = draw([1, 2])
    assert chart.time == "the last 2 minutes"
    assert [bar.x for bar in chart.bars] == [(MINUTES - 2) * STEP, (MINUTES - 1) * STEP]
