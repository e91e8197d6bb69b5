"""A new version of the service beside the one before, over its data, as real processes."""

from __future__ import annotations

import threading
from pathlib import Path

from processes import free_port, post, query, service, start, wait_until
from schemas import HEAD, NEXT, NEXT_NUMBER, make_released, write_service
from smtp_server import smtp_server

EXPAND = "op.add_column('outbox', sa.Column('news', sa.Text))"


def log(folder: Path) -> str:
    return (folder / "service.log").read_text(encoding="utf-8")


def test_the_waiting_orders_of_an_earlier_version_are_sent_after_an_upgrade(tmp_path: Path) -> None:
    make_released(f"sqlite:///{tmp_path}/outbox.db", "0001")
    port = free_port()
    with smtp_server() as (sink, relay_port), service(tmp_path, port, relay_port):
        assert set(sink.wait_for_orders(3, seconds=30)) == {"K1", "K2", "K3"}
        assert post(port, "K1") == 200
        assert post(port, "K4") == 202
        assert sink.wait_for_orders(4, seconds=30) == {"K1": 1, "K2": 1, "K3": 1, "K4": 1}


def test_the_version_before_loses_and_refuses_no_order_while_a_new_one_rolls_out(tmp_path: Path) -> None:
    newer = write_service(tmp_path / "newer", EXPAND)
    before, after = free_port(), free_port()
    answers: list[int] = []
    is_over = threading.Event()

    def place_orders() -> None:
        while not is_over.wait(0.02):
            answers.append(post(before, f"K{len(answers)}"))

    def place_more(count: int) -> None:
        target = len(answers) + count
        wait_until(lambda: len(answers) >= target)

    with smtp_server() as (sink, relay_port), service(tmp_path, before, relay_port):
        shop = threading.Thread(target=place_orders)
        shop.start()
        try:
            place_more(10)
            with service(tmp_path, after, relay_port, newer):
                assert query(tmp_path, "SELECT version_num FROM alembic_version") == [(NEXT_NUMBER,)]
                place_more(10)
                assert post(after, "K1000000") == 202
            place_more(10)
        finally:
            is_over.set()
            shop.join()
        assert set(answers) == {202}
        copies = sink.wait_for_orders(len(answers) + 1, seconds=30)
        assert copies == {"K1000000": 1, **{f"K{number}": 1 for number in range(len(answers))}}
    assert "the database was migrated" in log(tmp_path)
    with smtp_server() as (_, relay_port), service(tmp_path, before, relay_port):
        assert post(before, "after the rollback") == 202


def test_an_unsafe_rollback_does_not_start(tmp_path: Path) -> None:
    newer = write_service(tmp_path / "newer", EXPAND, oldest_compatible=NEXT_NUMBER)
    with smtp_server() as (_, relay_port), service(tmp_path, free_port(), relay_port, newer):
        pass
    assert start(tmp_path, free_port(), free_port()).wait(60) == 4
    assert "orderconfirm cannot start: the database of DATABASE_URL" in log(tmp_path)
    needed = f"has revision {NEXT_NUMBER}, which needs a version with revision {NEXT_NUMBER} or later"
    assert f"{needed}; this one has {HEAD}" in log(tmp_path)


def test_a_failing_migration_stops_the_start_with_one_sentence_and_the_version_before_starts(tmp_path: Path) -> None:
    make_released(f"sqlite:///{tmp_path}/outbox.db", "0001")
    newer = write_service(tmp_path / "newer", f"{EXPAND}; 1 / 0")
    assert start(tmp_path, free_port(), free_port(), newer).wait(60) == 4
    assert log(tmp_path).count(f"orderconfirm cannot start: the migration {NEXT} failed and has changed nothing") == 1
    assert "Traceback" not in log(tmp_path)
    with smtp_server() as (sink, relay_port), service(tmp_path, free_port(), relay_port):
        assert set(sink.wait_for_orders(3, seconds=30)) == {"K1", "K2", "K3"}
