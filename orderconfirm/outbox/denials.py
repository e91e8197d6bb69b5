"""Policy refusals: whether the relay refuses one recipient, or would refuse all."""

from __future__ import annotations

import threading
from typing import Any

from orderconfirm.errors import ORDER_STAGES, DeliveryFailure, Denied, Refused, RelayMisconfigured, TryLater
from orderconfirm.models import ClaimedMail

#: After this many different recipients in a row, without an accepted mail in between, the relay refuses everyone.
DENIED_IN_A_ROW = 3
#: Maximum number of denied mails that are remembered. A forgotten one counts as denied for the first time again.
MAX_REMEMBERED = 1000


class Denials:
    """Classifies a policy refusal by what the relay does with other mails. Times are seconds of a monotonic clock.

    If the relay accepts other mail meanwhile, it refuses this recipient only. If it refuses several in a row, it is
    paused. Until either is known, the mail waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first_denied: dict[int, float] = {}
        self._in_a_row: dict[str, float] = {}
        self._accepted_at = float("-inf")

    def note_accepted(self, mail: ClaimedMail, began: float) -> None:
        """Note that the relay accepted a mail whose attempt began at `began`."""
        with self._lock:
            self._accepted_at = max(self._accepted_at, began)
            self._first_denied.pop(mail.id, None)
            denied_everyone = self._is_denying_everyone
            self._in_a_row = {recipient: at for recipient, at in self._in_a_row.items() if at > began}
            if denied_everyone and not self._is_denying_everyone:
                # The refusals until now were not about the recipients: count each from here on.
                self._first_denied = dict.fromkeys(self._first_denied, self._accepted_at)

    def classify(self, failure: DeliveryFailure, mail: ClaimedMail, now: float) -> DeliveryFailure:
        """Return `failure` with its final type. Failures before RCPT TO are returned unchanged.

        Denied becomes Refused, RelayMisconfigured or TryLater; the first denial of a mail stays Denied while nothing is
        known. RelayMisconfigured becomes TryLater if it concerns only this mail.
        """
        if failure.stage not in ORDER_STAGES or not isinstance(failure, Denied | RelayMisconfigured):
            return failure
        with self._lock:
            is_first = mail.id not in self._first_denied
            since = _remember(self._first_denied, mail.id, self._first_denied.get(mail.id, now), MAX_REMEMBERED)
            _remember(self._in_a_row, mail.recipient, now, DENIED_IN_A_ROW)
            failure_type = self._type_of(failure, since, is_first)
        return failure_type(failure.stage, failure.text, failure.code, failure.retry_after)

    @property
    def _is_denying_everyone(self) -> bool:
        return len(self._in_a_row) >= DENIED_IN_A_ROW

    def _type_of(self, failure: Denied | RelayMisconfigured, since: float, is_first: bool) -> type[DeliveryFailure]:
        if self._accepted_at > since:
            return Refused if isinstance(failure, Denied) else TryLater
        if isinstance(failure, RelayMisconfigured) or self._is_denying_everyone:
            return RelayMisconfigured
        return Denied if is_first else TryLater


def _remember(times: dict[Any, float], name: Any, at: float, max_entries: int) -> float:
    """Store `at` as the newest of at most `max_entries` entries, and return it."""
    times.pop(name, None)
    times[name] = at
    if len(times) > max_entries:
        del times[next(iter(times))]
    return at
