"""How fast mails are started, on times passed in, against relays that are simulated by their limit."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest

from orderconfirm.outbox.throttle import CONNECTION_RECOVERY, MAX_HOLD, REFUSALS_IN_A_ROW, RateLimiter
from orderconfirm.settings.values import Rate

NOW = 1000.0


def simulate(
    limiter: RateLimiter, relay: Rate, seconds: float, took: float = 0.05, room: int = 10
) -> tuple[list[float], int]:
    """Run a dispatcher that always has mails against a relay that takes `relay`; the times of taken mails, refusals."""
    taken: list[float] = []
    window: deque[float] = deque()
    in_flight: list[tuple[float, bool]] = []
    refused, now = 0, NOW
    while now < NOW + seconds:
        for end, is_refused in [each for each in in_flight if each[0] <= now]:
            in_flight.remove((end, is_refused))
            limiter.ended(now, is_refused)
        for _ in range(limiter.allowance(room - len(in_flight), len(in_flight), now)):
            limiter.started()
            while window and window[0] <= now - relay.seconds:
                window.popleft()
            is_refused = len(window) >= relay.count
            if is_refused:
                refused += 1
            else:
                window.append(now)
                taken.append(now)
            in_flight.append((now + took, is_refused))
        now += 0.01
    return taken, refused


def test_without_a_limit_and_without_a_word_from_the_relay_all_seats_may_send() -> None:
    limiter = RateLimiter()
    assert [limiter.allowance(10, busy, NOW) for busy in range(3)] == [10, 10, 10]
    assert (limiter.rate, limiter.seconds_left(NOW)) == (None, 0.0)


@pytest.mark.parametrize("limit", [Rate(5, 1), Rate(2, 10), Rate(150, 10), Rate(1, 7.5)])
def test_a_limit_holds_in_any_window_and_is_used(limit: Rate) -> None:
    taken, refused = simulate(RateLimiter(limit), limit, seconds=60)
    assert refused == 0
    assert all(later - earlier >= limit.seconds for earlier, later in zip(taken, taken[limit.count :], strict=False))
    assert len(taken) >= 0.85 * 60 * limit.count / limit.seconds


@pytest.mark.parametrize(
    ("part", "share"), [(3, Rate(45, 10)), (10, Rate(150, 10)), (0, Rate(150, 10))], ids=["a part", "all", "none"]
)
def test_a_share_is_a_part_of_the_limit(part: int, share: Rate) -> None:
    limiter = RateLimiter(Rate(150, 10))
    limiter.set_share(part, 10, is_alone=True, now=NOW)
    assert limiter.allowance(1000, 0, NOW) == share.count


def test_a_share_of_less_than_one_mail_is_one_in_a_longer_time() -> None:
    assert Rate(2, 10).share(1, 10) == Rate(1, 50)


def test_what_a_share_gains_counts_as_used_by_the_sender_that_had_it_before() -> None:
    limiter = RateLimiter(Rate(100, 10))
    limiter.set_share(4, 10, is_alone=False, now=NOW)
    assert [limiter.allowance(1000, 0, NOW + passed) for passed in (0, 9, 11)] == [0, 0, 40]
    limiter.set_share(10, 10, is_alone=True, now=NOW + 11)
    assert [limiter.allowance(1000, 0, NOW + passed) for passed in (11, 20, 22)] == [40, 40, 100]


def test_mails_under_way_count_against_the_limit() -> None:
    limiter = RateLimiter(Rate(5, 10))
    assert limiter.allowance(10, 4, NOW) == 1
    for _ in range(2):
        limiter.ended(NOW, False)
    assert limiter.allowance(10, 2, NOW) == 1
    assert limiter.seconds_left(NOW + 4) == 6


@pytest.mark.parametrize("relay", [Rate(15, 1), Rate(150, 10), Rate(5, 1), Rate(5, 10)])
def test_a_relay_that_says_too_many_is_learned_and_well_used(relay: Rate) -> None:
    limiter = RateLimiter()
    simulate(limiter, relay, seconds=1)
    began = 120.0
    taken, refused = simulate(limiter, relay, seconds=300)
    late = [moment for moment in taken if moment > NOW + began]
    assert len(late) >= 0.6 * (300 - began) * relay.count / relay.seconds
    assert refused < 0.35 * len(taken) + 100


def test_a_few_refusals_at_any_load_are_no_lesson() -> None:
    limiter = RateLimiter()
    for number in range(200):
        limiter.ended(NOW + number / 100, was_refused=number % 20 == 19)
    assert limiter.rate is None


def test_the_lesson_is_what_the_relay_took_and_it_is_told_once() -> None:
    limiter = RateLimiter()
    for number in range(20):
        limiter.ended(NOW + number / 20, False)
    told = [limiter.ended(NOW + 1, True) for _ in range(4)]
    assert told == [False, False, True, False]
    assert limiter.rate == pytest.approx(20)


def test_what_was_learned_is_slowly_forgotten() -> None:
    limiter = RateLimiter()
    for number in range(10):
        limiter.ended(NOW + number / 10, False)
    for _ in range(3):
        limiter.ended(NOW + 1, True)
    rates = []
    for seconds in range(1, 200, 10):
        limiter.allowance(10, 0, NOW + seconds)
        rates.append(limiter.rate or float("inf"))
    assert all(earlier <= later for earlier, later in pairwise(rates))
    assert rates[0] < 12 and rates[-1] == float("inf")


def test_a_relay_that_takes_nothing_is_left_alone_for_ever_longer() -> None:
    limiter, now, holds = RateLimiter(), NOW, []
    for _ in range(7):
        for _ in range(REFUSALS_IN_A_ROW):
            limiter.ended(now, True)
        assert limiter.allowance(10, 0, now) == 0
        holds.append(round(limiter._held_until - now, 3))
        now += holds[-1]
    assert holds == [1, 2, 4, 8, MAX_HOLD, MAX_HOLD, MAX_HOLD]
    limiter.ended(now, False)
    assert limiter._hold == 0


def test_fewer_connections_after_too_many_and_one_more_each_minute() -> None:
    limiter = RateLimiter()
    for busy in (9, 3, 5):  # mails that were under way together are refused one after the other
        limiter.too_many_connections(busy, NOW)
    assert [limiter.allowance(10 - busy, busy, NOW) for busy in range(5)] == [3, 2, 1, 0, 0]
    assert limiter.allowance(10, 0, NOW + 2 * CONNECTION_RECOVERY) == 5
    assert limiter.allowance(10, 0, NOW + 20 * CONNECTION_RECOVERY) == 10
