"""The numbers by which a process notes what it sends: a copy has the id of its mail, so ids are not enough."""

from __future__ import annotations

from collections.abc import Collection

from orderconfirm.models import ClaimedMail

#: Marks the numbers of copies. No mail has an id this large, and the number still fits into 63 bits.
_COPY_BIT = 1 << 62


def number_of(mail: ClaimedMail) -> int:
    """Return a number unique among mails and copies: the id, with _COPY_BIT set for a copy."""
    return mail.id | _COPY_BIT if mail.is_copy else mail.id


def copies_among(numbers: Collection[int]) -> list[int]:
    """Return the ids of the copies among the numbers of mails and copies."""
    return [number ^ _COPY_BIT for number in numbers if number & _COPY_BIT]
