"""Why a mail ended as it did, without personal data."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why a mail is in its state, in one word and without the text of a reply, which may contain an address."""

    #: Permanently refused by the relay, or later by the recipient's server.
    REFUSED = "refused"
    #: Retried until MAIL_GIVE_UP_AFTER.
    GIVEN_UP = "given_up"
    #: The order could not be turned into a mail.
    NOT_RENDERED = "not_rendered"
    #: Its `send_before` passed.
    TOO_LATE = "too_late"
    #: The address is suppressed, here or by the relay.
    SUPPRESSED = "suppressed"
    #: The mail may have been sent.
    UNKNOWN_OUTCOME = "unknown_outcome"
