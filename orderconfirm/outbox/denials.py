"""Whose fault a denied mail is: its recipient's, or that of the relay, which would deny every other one too."""

from __future__ import annotations

import threading
from typing import Any

from orderconfirm.errors import DeliveryFailure, Denied, Refused, RelayMisconfigured, TryLater
from orderconfirm.models import ClaimedMail
from orderconfirm.outbox.retry import ORDER_STAGES

#: So many recipients denied in a row, without a mail taken between them, are the relay's doing.
DENIED_IN_A_ROW = 3
#: Denied mails that are remembered. One that is forgotten counts as denied for the first time, and waits once more.
MAX_REMEMBERED = 1000


class Denials:
    """Judges a denial by what the relay does with other mails. Times are seconds of a monotonic clock, passed in.

    If the relay takes other mail meanwhile, the recipient alone is denied. If it denies several in a row, it is paused.
    As long as neither is known, the mail waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first_denied: dict[int, float] = {}
        self._in_a_row: dict[str, float] = {}
        self._taken = float("-inf")

    def taken(self, mail: ClaimedMail, began: float) -> None:
        """Note that the relay took a mail whose attempt began at `began`."""
        with self._lock:
            self._taken = max(self._taken, began)
            self._first_denied.pop(mail.id, None)
            denied_everyone = self._is_denying_everyone
            self._in_a_row = {recipient: at for recipient, at in self._in_a_row.items() if at > began}
            if denied_everyone and not self._is_denying_everyone:
                # What it denied until now is held against no recipient: each counts from here on.
                self._first_denied = dict.fromkeys(self._first_denied, self._taken)

    def judge(self, failure: DeliveryFailure, mail: ClaimedMail, now: float) -> DeliveryFailure:
        """`failure` as what it turns out to be. Only what is said of an order's recipient is in question.

        A Denied becomes Refused, RelayMisconfigured or TryLater, or stays one: the first time, while nothing is known.
        A RelayMisconfigured becomes TryLater when it holds for this mail alone.
        """
        if failure.stage not in ORDER_STAGES or not isinstance(failure, Denied | RelayMisconfigured):
            return failure
        with self._lock:
            is_first = mail.id not in self._first_denied
            since = _remember(self._first_denied, mail.id, self._first_denied.get(mail.id, now), MAX_REMEMBERED)
            _remember(self._in_a_row, mail.recipient, now, DENIED_IN_A_ROW)
            kind = self._kind(failure, since, is_first)
        return kind(failure.stage, failure.text, failure.code, failure.retry_after)

    @property
    def _is_denying_everyone(self) -> bool:
        return len(self._in_a_row) >= DENIED_IN_A_ROW

    def _kind(self, failure: Denied | RelayMisconfigured, since: float, is_first: bool) -> type[DeliveryFailure]:
        if self._taken > since:
            return Refused if isinstance(failure, Denied) else TryLater
        if isinstance(failure, RelayMisconfigured) or self._is_denying_everyone:
            return RelayMisconfigured
        return Denied if is_first else TryLater


def _remember(times: dict[Any, float], name: Any, at: float, most: int) -> float:
    """Keep `at` as the newest of at most `most` entries; returns it."""
    times.pop(name, None)
    times[name] = at
    if len(times) > most:
        del times[next(iter(times))]
    return at
