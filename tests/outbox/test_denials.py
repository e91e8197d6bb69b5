"""Whose fault a denied mail is, on times passed in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orderconfirm.errors import (
    DeliveryFailure,
    Denied,
    Refused,
    RelayMisconfigured,
    RelayTrouble,
    SlowDown,
    TryLater,
    UnknownOutcome,
)
from orderconfirm.models import ClaimedMail
from orderconfirm.outbox.denials import DENIED_IN_A_ROW, MAX_REMEMBERED, Denials

NOW = 1000.0
DENIED = Denied("rcpt", "5.7.1 Access denied", 554)
NO_RELAYING = RelayMisconfigured("rcpt", "5.7.1 Relay access denied", 554)


def mail(number: int, recipient: str = "") -> ClaimedMail:
    at = datetime(2025, 3, 15, tzinfo=UTC)
    to = recipient or f"{number}@example.com"
    return ClaimedMail(number, "shop", str(number), "<1@x>", "{}", at, None, at, None, 0, 0, "token", to)


def classified(denials: Denials, number: int, after: float, failure: DeliveryFailure = DENIED) -> type[DeliveryFailure]:
    return type(denials.classify(failure, mail(number), NOW + after))


def test_a_first_denial_is_nobody_s_fault_yet() -> None:
    assert classified(Denials(), 1, 0) is Denied


def test_who_is_denied_again_with_nothing_known_of_others_waits_ever_longer() -> None:
    denials = Denials()
    assert [classified(denials, 1, after) for after in (0, 10, 70)] == [Denied, TryLater, TryLater]


def test_who_is_denied_while_others_are_taken_is_refused() -> None:
    denials = Denials()
    classified(denials, 1, 0)
    denials.note_accepted(mail(2), NOW + 5)
    assert classified(denials, 1, 10) is Refused


def test_a_mail_that_was_under_way_before_the_denial_says_nothing_of_the_relay_after_it() -> None:
    denials = Denials()
    classified(denials, 1, 0)
    denials.note_accepted(mail(2), NOW - 1)
    assert classified(denials, 1, 10) is TryLater
    assert [classified(denials, 3, 11), classified(denials, 4, 12)] == [Denied, RelayMisconfigured]


def test_several_recipients_denied_in_a_row_are_the_relay_s_fault_however_long_it_lasts() -> None:
    denials = Denials()
    problem_types = [classified(denials, number, number) for number in range(DENIED_IN_A_ROW + 5)]
    assert problem_types == [Denied] * (DENIED_IN_A_ROW - 1) + [RelayMisconfigured] * 6
    assert [classified(denials, number, 1e6 + number) for number in range(10)] == [RelayMisconfigured] * 10


def test_one_recipient_of_several_mails_is_one() -> None:
    denials = Denials()
    problem_types = {
        type(denials.classify(DENIED, mail(number, "jane@example.com"), NOW + number)) for number in range(9)
    }
    assert problem_types == {Denied}


def test_a_mail_that_is_taken_begins_the_row_anew() -> None:
    denials = Denials()
    for number in range(3 * DENIED_IN_A_ROW):
        assert classified(denials, number, number) is Denied
        if number % (DENIED_IN_A_ROW - 1):
            denials.note_accepted(mail(100 + number), NOW + number + 0.5)


def test_after_the_relay_took_mail_again_a_denied_order_that_is_taken_too_begins_anew() -> None:
    denials = Denials()
    for number in range(DENIED_IN_A_ROW):
        classified(denials, number, number)
    for number in range(DENIED_IN_A_ROW):
        denials.note_accepted(mail(number), NOW + 100 + number)
    assert classified(denials, 0, 200) is Denied


def test_what_the_relay_denied_while_it_denied_everyone_is_held_against_no_recipient() -> None:
    """A relay may recover bit by bit."""
    denials = Denials()
    for number in range(DENIED_IN_A_ROW):
        classified(denials, number, number)
    denials.note_accepted(mail(10), NOW + 100)
    assert classified(denials, 0, 101) is TryLater
    denials.note_accepted(mail(11), NOW + 102)
    assert classified(denials, 0, 161) is Refused


def test_words_that_are_certain_count_at_once() -> None:
    assert classified(Denials(), 1, 0, NO_RELAYING) is RelayMisconfigured


def test_words_that_are_certain_hold_for_one_order_alone_while_others_are_taken() -> None:
    denials = Denials()
    classified(denials, 1, 0, NO_RELAYING)
    denials.note_accepted(mail(2), NOW + 5)
    assert classified(denials, 1, 10, NO_RELAYING) is TryLater


def test_what_was_said_is_kept() -> None:
    denials = Denials()
    for number in range(DENIED_IN_A_ROW):
        failure = denials.classify(Denied("end_of_data", "5.7.1 No", 550, 7.0), mail(number), NOW)
    assert (failure.stage, failure.text, failure.code, failure.retry_after) == ("end_of_data", "5.7.1 No", 550, 7.0)


@pytest.mark.parametrize(
    "failure",
    [
        RelayMisconfigured("auth", "bad password", 535),
        RelayMisconfigured("mail", "bad sender", 550),
        RelayTrouble("connect", "refused"),
        SlowDown("rcpt", "too fast", 450),
        TryLater("rcpt", "greylisted", 450),
        Refused("rcpt", "no such user", 550),
        UnknownOutcome("end_of_data", "timed out"),
    ],
)
def test_whatever_is_no_denial_stays_what_it_is(failure: DeliveryFailure) -> None:
    denials = Denials()
    assert all(denials.classify(failure, mail(number), NOW + number) is failure for number in range(9))
    assert classified(denials, 10, 10) is Denied


def test_what_is_remembered_is_bounded() -> None:
    denials = Denials()
    for number in range(MAX_REMEMBERED + 10):
        classified(denials, number, number)
    assert len(denials._first_denied) == MAX_REMEMBERED
    assert len(denials._in_a_row) == DENIED_IN_A_ROW
