"""Tests of the timeline of an order's page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orderconfirm.models import DeliveryEvent, Event, HistoryEntry, OutboxEntry, State
from orderconfirm.web.pages.timeline import timeline

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
SENT = NOON + timedelta(milliseconds=700)


@pytest.mark.parametrize(
    "reported", [NOON, NOON + timedelta(milliseconds=900)], ids=["in whole seconds", "in milliseconds"]
)
def test_a_delivery_in_the_second_of_the_sending_comes_after_it(reported: datetime) -> None:
    entry = OutboxEntry(
        *(1, "shop", "1", 0, "<1@x>", "a@example.com", State.SENT, NOON, SENT, NOON, 1, 0, None),
        history=(HistoryEntry(SENT, 0, Event.SENT, State.SENT, "end_of_data", 250, "Ok"),),
        deliveries=(DeliveryEvent("1", 0, "delivery", reported, 250, "Ok"),),
    )
    assert [step.kind for step in timeline(entry, [])][-2:] == ["good", "report"]
