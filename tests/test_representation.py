from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orderconfirm.models import HistoryEntry, OutboxEntry, State
from orderconfirm.representation import advise

NOW = datetime(2026, 12, 1, tzinfo=UTC)
FAILED = OutboxEntry(1, "shop", "1", 0, "<1@x>", "a@example.com", State.FAILED, NOW, NOW, NOW, 1, 0, "why")


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["mail", "rcpt"], "another one"),
        (["rcpt", "render", None], "TEMPLATES_DIR"),
        (["rcpt", "end_of_data"], "retry once the cause is removed"),
    ],
)
def test_the_advice_fits_the_stage_of_the_last_attempt(stages: list[str | None], expected: str) -> None:
    history = tuple(HistoryEntry(NOW, 0, "failed", State.FAILED, stage) for stage in stages)

    assert expected in str(advise(replace(FAILED, history=history)))


def test_a_mail_has_no_advice_unless_it_has_failed_and_can_be_sent_again() -> None:
    assert advise(replace(FAILED, state=State.SENT)) is None
    assert advise(replace(FAILED, recipient=None)) is None
