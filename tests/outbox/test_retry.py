"""What becomes of a mail after a failed attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orderconfirm.errors import (
    DeliveryFailure,
    Denied,
    Refused,
    RelayMisconfigured,
    RelayTrouble,
    SlowDown,
    TemplateError,
    TooManyConnections,
    TryLater,
    UnknownOutcome,
)
from orderconfirm.models import ClaimedMail, State
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.retry import EXPIRED, JITTER, RELEASED, SENT, Outcome, Policy, decide, is_expired

POLICY = Policy(delays=(10.0, 60.0, 300.0), give_up_after=1000.0, unknown_delay=100.0)
PATIENT = replace(POLICY, give_up_after=1e9)
HOUR = 3600.0
NOW = datetime(2025, 3, 15, 12, tzinfo=UTC)


def mail(attempts: int = 0, age: float = 0.0, copies: int = 0, send_before: float | None = None) -> ClaimedMail:
    """A mail claimed `age` seconds after its first attempt; `send_before` is in seconds from now."""
    tried = NOW - timedelta(seconds=age) if age else None
    limit = None if send_before is None else NOW + timedelta(seconds=send_before)
    return ClaimedMail(1, "shop", "1", "<1@x>", "{}", NOW, tried, NOW, limit, attempts, copies, "token", "a@x")


@pytest.mark.parametrize("stage", ["rcpt", "data", "end_of_data"])
@pytest.mark.parametrize("kind", [Denied, RelayMisconfigured])
def test_what_is_said_of_all_recipients_costs_no_order_an_attempt_but_lets_others_go_first(
    kind: type[DeliveryFailure], stage: str
) -> None:
    outcome = decide(kind(stage, "No", 550), mail(99, 1e9), POLICY, 0.5)
    assert outcome == Outcome(State.QUEUED, "deferred", f"{stage}: 550 No", 10.0, spends_attempt=False)


@pytest.mark.parametrize("kind", [RelayTrouble, RelayMisconfigured, SlowDown, TooManyConnections])
@pytest.mark.parametrize("age", [0.0, 1e9])
def test_the_relay_s_trouble_costs_no_order_an_attempt_and_never_fails_it(
    kind: type[DeliveryFailure], age: float
) -> None:
    outcome = decide(kind("auth", "No", 535), mail(99, age), POLICY, 0.5)
    assert outcome == Outcome(State.QUEUED, "deferred", "auth: 535 No", 0.0, spends_attempt=False)


def test_the_relay_s_trouble_waits_as_long_as_the_relay_asked() -> None:
    assert decide(RelayTrouble("banner", "Busy", 421, 120.0), mail(), POLICY, 0.5).delay == 120.0


@pytest.mark.parametrize(("attempts", "delay"), [(0, 10.0), (1, 60.0), (2, 300.0), (3, 300.0), (99, 300.0)])
def test_each_new_try_waits_for_the_next_delay_and_the_last_one_repeats(attempts: int, delay: float) -> None:
    outcome = decide(TryLater("rcpt", "Greylisted", 450), mail(attempts), POLICY, 0.5)
    assert outcome == Outcome(State.QUEUED, "deferred", "rcpt: 450 Greylisted", pytest.approx(delay))
    assert outcome.spends_attempt and not outcome.may_be_copy


@pytest.mark.parametrize(
    ("random_value", "factor"), [(0.0, 1 - JITTER), (0.25, 1 - JITTER / 2), (0.5, 1), (1.0, 1 + JITTER)]
)
def test_a_random_value_moves_a_delay_by_a_fifth_at_most(random_value: float, factor: float) -> None:
    delay = decide(TryLater("rcpt", "No", 450), mail(1), POLICY, random_value).delay
    assert delay == pytest.approx(60.0 * factor)


def test_the_relay_s_own_wait_goes_before_ours_without_chance() -> None:
    assert {
        decide(TryLater("end_of_data", "No", 450, 77.0), mail(2), POLICY, random_value).delay
        for random_value in (0.0, 1.0)
    } == {77.0}


def test_an_unknown_outcome_is_tried_again_and_counts_as_a_possible_copy() -> None:
    outcome = decide(UnknownOutcome("end_of_data", "timed out"), mail(), POLICY, 0.5)
    assert outcome == Outcome(State.UNKNOWN, "unknown", "end_of_data: timed out", 100.0, may_be_copy=True)


@pytest.mark.parametrize(("age", "state"), [(990.0, State.QUEUED), (990.1, State.FAILED), (5000.0, State.FAILED)])
def test_an_order_fails_when_its_next_try_would_come_too_late(age: float, state: State) -> None:
    assert decide(TryLater("rcpt", "No", 450), mail(0, age), POLICY, 0.5).state is state


def test_a_wait_that_the_relay_asks_for_counts_towards_giving_up() -> None:
    assert decide(TryLater("rcpt", "No", 450, 2000.0), mail(), POLICY, 0.5).state is State.FAILED


def test_giving_up_says_after_how_long_and_why() -> None:
    outcome = decide(TryLater("rcpt", "Greylisted", 450), mail(9, 48 * HOUR), POLICY, 0.5)
    assert outcome == Outcome(State.FAILED, "failed", "given up after 48 h: rcpt: 450 Greylisted", cause=Cause.GIVEN_UP)


def test_giving_up_on_an_unknown_outcome_still_counts_a_possible_copy() -> None:
    outcome = decide(UnknownOutcome("end_of_data", "timed out"), mail(9, 48 * HOUR), POLICY, 0.5)
    assert (outcome.state, outcome.may_be_copy) == (State.FAILED, True)


@pytest.mark.parametrize(
    ("failure", "reason", "cause"),
    [
        (Refused("rcpt", "No such user", 550), "rcpt: 550 No such user", Cause.REFUSED),
        (
            TemplateError("order_confirmation.html, line 3: oops"),
            "order_confirmation.html, line 3: oops",
            Cause.NOT_RENDERED,
        ),
        (ValueError("bad row"), "bad row", Cause.NOT_RENDERED),
    ],
)
def test_the_order_s_own_fault_fails_at_once(failure: Exception, reason: str, cause: Cause) -> None:
    outcome = Outcome(State.FAILED, "failed", reason, cause=cause)
    assert decide(failure, mail(), POLICY, 0.5) == outcome


def test_the_fixed_settlements_spend_an_attempt_only_when_sent() -> None:
    settled = [(each.state, each.event, each.spends_attempt, each.may_be_copy) for each in (SENT, RELEASED, EXPIRED)]
    assert settled == [
        (State.SENT, "sent", True, False),
        (State.QUEUED, "released", False, False),
        (State.EXPIRED, "expired", False, False),
    ]


@pytest.mark.parametrize(("copies", "delay"), [(0, 100), (1, 200), (2, 400), (5, 3200), (6, 3600), (5000, 3600)])
def test_unknown_outcomes_wait_ever_longer_up_to_an_hour(copies: int, delay: float) -> None:
    outcome = decide(UnknownOutcome("end_of_data", "timed out"), mail(copies=copies), PATIENT, 0.5)
    assert (outcome.state, outcome.delay) == (State.UNKNOWN, delay)


def test_an_unknown_outcome_can_be_held_for_a_person() -> None:
    outcome = decide(UnknownOutcome("end_of_data", "timed out"), mail(), replace(POLICY, holds_unknown=True), 0.5)
    assert (outcome.state, outcome.may_be_copy) == (State.HELD, True)


@pytest.mark.parametrize(("send_before", "state"), [(10.0, State.EXPIRED), (10.1, State.QUEUED)])
def test_an_order_expires_when_its_next_try_would_be_too_late_for_the_shop(send_before: float, state: State) -> None:
    outcome = decide(TryLater("rcpt", "Greylisted", 450), mail(send_before=send_before), POLICY, 0.5)
    assert outcome.state is state
    assert "Greylisted" in (outcome.reason or "")


@pytest.mark.parametrize(("send_before", "expired"), [(None, False), (0.0, True), (-1.0, True), (1.0, False)])
def test_a_mail_is_expired_once_its_send_before_has_come(send_before: float | None, expired: bool) -> None:
    assert is_expired(mail(send_before=send_before)) is expired


@pytest.mark.parametrize("stage", ["mail", "rcpt", "end_of_data"])
def test_who_sent_too_fast_waits_for_the_pace_alone(stage: str) -> None:
    outcome = decide(SlowDown(stage, "too many", 550), mail(1), POLICY, 0.5)
    assert (outcome.delay, outcome.spends_attempt) == (0.0, False)


def test_the_time_before_the_first_attempt_does_not_count_towards_giving_up() -> None:
    waited = replace(mail(), accepted_at=NOW - timedelta(days=9))
    assert decide(TryLater("rcpt", "Greylisted", 450), waited, POLICY, 0.5).state is State.QUEUED


def test_by_a_clock_that_is_not_trusted_nothing_is_given_up() -> None:
    old = mail(9, 40 * 24 * HOUR)
    deferred = decide(TryLater("rcpt", "Greylisted", 450), old, POLICY, 0.5, trusts_clock=False)
    unknown = decide(UnknownOutcome("end_of_data", "timed out"), old, POLICY, 0.5, trusts_clock=False)
    assert (deferred.state, unknown.state) == (State.QUEUED, State.UNKNOWN)
