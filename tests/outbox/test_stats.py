"""The numbers of mails on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outboxes import claim, mail, run, settle

from orderconfirm.models import Event, State
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import RELEASED, SENT, Outcome
from orderconfirm.outbox.stats import MINUTES, read_sent_per_minute, read_stats


def send(queue: OutboxQueue, shop: str, *minutes_ago: float) -> None:
    """Add sent mails of a shop."""
    for number, minutes in enumerate(minutes_ago):
        queue.add(replace(mail(f"{number}"), shop=shop))
        [claimed] = claim(queue, 1, 60)
        settle(queue, claimed, SENT)
        run(queue, f"UPDATE outbox SET changed_at = changed_at - {minutes * 60} WHERE id = {claimed.id}")


def test_stats_count_the_mails_of_one_shop_or_of_all(queue: OutboxQueue) -> None:
    queue.add(replace(mail("u"), shop="a"))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, Outcome(State.UNKNOWN, "unknown", delay=600, may_be_copy=True))
    for order_id in ("p", "q"):
        queue.add(replace(mail(order_id), shop="b"))
    run(queue, "UPDATE outbox SET due_at = due_at - 90 WHERE order_id = 'q'")
    all_shops, a, b = (read_stats(queue._database, shop) for shop in (None, "a", "b"))
    assert all_shops.mails == {State.UNKNOWN: 1, State.QUEUED: 2}
    assert (a.mails, a.oldest_due, a.possible_copies) == ({State.UNKNOWN: 1}, 0.0, 1)
    assert (b.mails, b.possible_copies) == ({State.QUEUED: 2}, 0)
    assert 89 < b.oldest_due == pytest.approx(all_shops.oldest_due, abs=5)


def test_neither_a_probe_of_a_paused_relay_nor_a_send_hides_how_long_its_mail_has_waited(queue: OutboxQueue) -> None:
    queue.add(mail("probe"))
    run(queue, "UPDATE outbox SET accepted_at = accepted_at - 90, due_at = due_at - 90")
    for outcome in (Outcome(State.QUEUED, Event.DEFERRED, "connect: refused", spends_attempt=False), RELEASED):
        [claimed] = claim(queue, 1, 60)
        assert read_stats(queue._database).oldest_due > 89
        settle(queue, claimed, outcome)
        assert read_stats(queue._database).oldest_due > 89
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, Outcome(State.QUEUED, Event.DEFERRED, "rcpt: 451 later", delay=60))
    assert read_stats(queue._database).oldest_due == 0


def test_sent_mails_are_counted_by_the_minute_for_an_hour(queue: OutboxQueue) -> None:
    send(queue, "a", 0, 0, 1.5, 59.5, 61)
    send(queue, "b", 1.5)
    queue.add(mail("waiting"))
    expected = [0] * MINUTES
    expected[0], expected[-2], expected[-1] = 1, 2, 2
    assert read_sent_per_minute(queue._database) == tuple(expected)
    assert sum(read_sent_per_minute(queue._database, "a")) == 4
    assert sum(read_sent_per_minute(queue._database, "b")) == 1


def test_only_the_last_minutes_are_counted_when_too_many_mails_were_sent(queue: OutboxQueue) -> None:
    send(queue, "a", 0, 0, 1.5, 3.5, 3.5)
    assert read_sent_per_minute(queue._database, max_counted=4) == (0, 1, 2)
