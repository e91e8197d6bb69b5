"""The metrics and the trace of finished attempts."""

from __future__ import annotations

from orderconfirm import tracing
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import COPIES, RETRIES, SEND_DURATION, SENDS, TIME_TO_SEND
from orderconfirm.models import ClaimedMail, State
from orderconfirm.outbox.leases import FinishedAttempt


def count_send(mail: ClaimedMail, finished: FinishedAttempt, seconds_since_claim: float) -> None:
    """Count and trace an attempt whose outcome is recorded. Merchants' copies are counted apart."""
    outcome, seconds = finished.outcome, finished.result.seconds
    if mail.is_copy:
        counters.add(COPIES, (outcome.event,))
        return
    counters.add(SENDS, (outcome.event,))
    if seconds is not None:
        counters.observe(SEND_DURATION, seconds)
        attributes = {"order_id": mail.order_id, "shop": mail.shop, "outcome": outcome.event.value}
        tracing.record("send mail", mail.request_id, seconds, attributes, is_first=False)
    if mail.attempts:
        counters.add(RETRIES)
    if outcome.state is State.SENT:
        waited = (mail.claimed_at - mail.accepted_at).total_seconds()  # both by the database's clock
        counters.observe(TIME_TO_SEND, waited + seconds_since_claim)
