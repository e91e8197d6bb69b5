"""The breaker over the whole relay, on times passed in."""

from __future__ import annotations

import pytest

from orderconfirm.errors import RelayMisconfigured, RelayTrouble
from orderconfirm.outbox.breaker import FIRST_PAUSE, MAX_PAUSE, Breaker

NOW = 1000.0
LOGIN_PAUSE = 60.0
TROUBLE = RelayTrouble("connect", "refused")
MISCONFIGURED = RelayMisconfigured("auth", "bad password", 535)


def closed() -> Breaker:
    """As it is at the start."""
    return Breaker(LOGIN_PAUSE)


def tripped(trouble: RelayTrouble = TROUBLE) -> Breaker:
    breaker = closed()
    breaker.trip(trouble, NOW)
    return breaker


@pytest.mark.parametrize(("room", "busy"), [(10, 0), (3, 7), (0, 10)])
def test_a_closed_breaker_lets_every_free_thread_send(room: int, busy: int) -> None:
    assert closed().allowance(room, busy, NOW) == room


def test_a_closed_breaker_has_no_seconds_left() -> None:
    assert closed().seconds_left(NOW) is None


def test_an_open_breaker_lets_nobody_send_until_the_pause_is_over() -> None:
    breaker = tripped()
    assert [breaker.allowance(10, 0, NOW + at * FIRST_PAUSE) for at in (0, 0.5, 0.99, 1, 2)] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("room", "busy", "allowed"), [(10, 0, 1), (1, 0, 1), (0, 0, 0), (9, 1, 0), (5, 5, 0)])
def test_after_the_pause_one_probe_goes_alone(room: int, busy: int, allowed: int) -> None:
    assert tripped().allowance(room, busy, NOW + FIRST_PAUSE) == allowed


def test_seconds_left_count_down_to_zero_and_stay_there() -> None:
    breaker = tripped(MISCONFIGURED)
    assert [breaker.seconds_left(NOW + after) for after in (0, 10, 60, 999)] == [60.0, 50.0, 0.0, 0.0]


def test_failed_probes_double_the_pause_up_to_the_longest() -> None:
    breaker, now, pauses = closed(), NOW, []
    for _ in range(7):
        breaker.trip(TROUBLE, now)
        pauses.append(breaker.seconds_left(now))
        now += pauses[-1] or 0.0
    assert pauses == [1.0, 2.0, 4.0, 8.0, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE]


def test_trouble_during_the_pause_neither_doubles_nor_moves_it() -> None:
    breaker = tripped()
    for _ in range(5):
        breaker.trip(TROUBLE, NOW + 0.5)
    assert breaker.seconds_left(NOW + 0.5) == FIRST_PAUSE - 0.5


@pytest.mark.parametrize(
    ("trouble", "pause"),
    [
        (TROUBLE, FIRST_PAUSE),
        (MISCONFIGURED, LOGIN_PAUSE),
        (RelayMisconfigured("auth", "no", 535, 5.0), LOGIN_PAUSE),
        (RelayTrouble("banner", "busy", 421, 12.5), 12.5),
        (RelayMisconfigured("auth", "locked", 535, 600.0), 600.0),
    ],
)
def test_the_first_pause_follows_the_trouble(trouble: RelayTrouble, pause: float) -> None:
    assert tripped(trouble).seconds_left(NOW) == pause


def test_only_the_trip_that_opens_says_so() -> None:
    breaker = closed()
    assert [breaker.trip(TROUBLE, NOW + after) for after in (0, 0.5, 1, 10)] == [True, False, False, False]


def test_only_the_reset_that_closes_says_so() -> None:
    breaker = tripped()
    assert [breaker.reset(NOW + 1), breaker.reset(NOW + 1)] == [True, False]


def test_a_reset_opens_all_seats_and_forgets_the_doubling() -> None:
    breaker = tripped()
    breaker.trip(TROUBLE, NOW + 1)
    breaker.reset(NOW + 2)
    assert (breaker.allowance(10, 3, NOW + 2), breaker.seconds_left(NOW + 2)) == (10, None)
    assert breaker.trip(TROUBLE, NOW + 2) is True
    assert breaker.seconds_left(NOW + 2) == FIRST_PAUSE


def test_a_mail_that_was_under_way_before_the_trouble_does_not_end_it() -> None:
    breaker = tripped(MISCONFIGURED)
    assert breaker.reset(NOW - 1) is False
    assert breaker.allowance(10, 0, NOW + 1) == 0
    assert breaker.reset(NOW + LOGIN_PAUSE) is True
