"""`flask outbox …`, as the person on call types it, beside a running service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import Result
from conftest import relay_variables
from factories import make_body
from flask import Flask
from processes import wait_until
from smtp_server import Sink

from orderconfirm import create_app
from orderconfirm.cli.outbox.group import run_batches
from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.settings import Settings

URL = "/api/order-confirmation"
Type = Callable[..., Result]


@pytest.fixture
def shop(start_app: Callable[..., Flask], sink: tuple[Sink, int]) -> Flask:
    """A running service whose relay refuses orders that begin with F for good."""
    kept, port = sink
    app = start_app(**relay_variables(port, MAIL_RETRY_DELAYS="60"))
    for order_id in ("S1", "F1", "F2", "Q1"):
        if order_id.startswith("F"):
            kept.replies["RCPT"] = ["550 5.1.1 <john.doe@example.com> no such user"]
        if order_id.startswith("Q"):
            kept.replies["RCPT"] = ["451 4.3.0 later"]
        app.test_client().post(URL, json=make_body(order_id=order_id))
        expected = {"S": "sent", "F": "failed", "Q": "queued"}[order_id[0]]
        wait_until(lambda order_id=order_id, expected=expected: is_settled(app, order_id, expected))  # type: ignore[misc]
    return app


def is_settled(app: Flask, order_id: str, state: str) -> bool:
    told = app.test_client().get(f"{URL}/{order_id}").get_json()
    return bool(told["state"] == state and told["history"])


@pytest.fixture
def outbox(shop: Flask, tmp_path: object) -> Type:
    """Runs a command in an application of its own, as another process would."""
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db"}
    runner = create_app(Settings.from_env(environ)).test_cli_runner()
    return lambda *words, **options: runner.invoke(args=["outbox", *words], **options)


def test_the_list_has_the_newest_first_and_no_personal_data(outbox: Type) -> None:
    lines = outbox("list").output.splitlines()
    assert [line.split()[4] for line in lines] == ["Q1", "F2", "F1", "S1"]
    assert [line.split()[2] for line in lines] == ["queued", "failed", "failed", "sent"]
    assert "no such user" in lines[1]
    assert "john" not in "".join(lines).lower()


def test_the_list_can_be_narrowed(outbox: Type) -> None:
    def listed(*options: str) -> list[str]:
        return [line.split()[4] for line in outbox("list", *options).stdout.splitlines()]

    assert listed("--state", "failed", "--limit", "1") == ["F2"]
    assert listed("--state", "failed", "--state", "sent", "--shop", "default") == ["F2", "F1", "S1"]
    assert listed("--order", "F1") == ["F1"]
    assert listed("--email", "John.Doe@example.com", "--since", "2025-01-01") == ["Q1", "F2", "F1", "S1"]
    for options in (["--until", "2025-01-01T03:00Z"], ["--possible-copies"], ["--email", "x@y.z"], ["--shop", "other"]):
        assert listed(*options) == []
    assert outbox("list", "--state", "held").stderr == "No mails.\n"
    assert outbox("list", "--limit", "1").stderr == "There are more: these are the newest 1.\n"
    assert "Invalid value for '--since': soon" in outbox("list", "--since", "soon").stderr


def test_json_is_what_the_api_returns(outbox: Type, shop: Flask) -> None:
    client = shop.test_client()
    shown = json.loads(outbox("show", "Q1", "--json").stdout)
    expected = client.get(f"{URL}/Q1").get_json()
    del expected["links"]
    assert shown == {"shop": "default", **expected}
    mails = json.loads(outbox("list", "--json").stdout)
    orders = client.get("/api/order-confirmations").get_json()["orders"]
    assert [mail["waiting"] for mail in mails] == [expected["waiting"], None, None, None]
    for mail, order in zip(mails, orders, strict=True):
        del order["links"], mail["waiting"]
        assert mail == {"shop": "default", **order}
    assert json.loads(outbox("list", "--state", "held", "--json").stdout) == []


def test_a_waiting_mail_says_for_what_it_waits(outbox: Type) -> None:
    assert "; the next attempt is at 20" in outbox("list", "--order", "Q1").output
    assert "waiting         the next attempt is at 20" in outbox("show", "Q1").output


def test_show_tells_the_story_of_one_order(outbox: Type) -> None:
    told = outbox("show", "F1").output
    assert "to              john.doe@example.com\n" in told
    assert "what to do      the relay refuses the address: send the mail again to another one" in told
    assert "rcpt 550 5.1.1 <…@example.com> no such user" in told
    assert outbox("show", "nobody").exit_code == 1
    assert "No order nobody was accepted" in outbox("show", "nobody").stderr


def test_show_tells_what_came_of_each_of_its_mails(outbox: Type, shop: Flask) -> None:
    first = shop.test_client().get(f"{URL}/S1").get_json()
    names = {"shop": "default", "order_id": "S1", "message_id": first["message_id"]}
    told = ("soft bounce", datetime.now(UTC), 452, "4.2.2 full")
    event = RelayEvent("1", *told, delivery=Delivery.SOFT_BOUNCED, **names, mail_id=None, address=None, raw="{}")
    shop.extensions["orderconfirm"].confirmations.record_events([event])
    assert shop.test_client().post(f"{URL}/S1/resend").status_code == 202
    output = outbox("show", "S1").output
    assert "mail            2, the newest of the order" in output
    assert "mail 1  (soft bounce)  452 4.2.2 full" in output
    assert "mail 2  resent" in output


def test_retry_sends_failed_mails_one_by_one_and_all(outbox: Type, sink: tuple[Sink, int], shop: Flask) -> None:
    kept, _ = sink
    assert outbox("retry", "F1").output == "1 mail is due now.\n"
    kept.wait_for(2)
    assert outbox("retry", "--all").output == "1 mail is due now.\n"
    kept.wait_for(3)
    wait_until(lambda: is_settled(shop, "F2", "sent"))


def test_what_cannot_be_retried_is_reported_with_its_reason(outbox: Type) -> None:
    result = outbox("retry", "S1", "nobody")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "S1 cannot be retried: it is sent",
        "nobody cannot be retried: no such order was accepted",
    ]
    assert outbox("retry").exit_code == 2


def test_resend_is_a_new_mail(outbox: Type, sink: tuple[Sink, int], shop: Flask) -> None:
    result = outbox("resend", "S1", "--email", "right@example.com", "--reason", "mistyped")
    told = shop.test_client().get(f"{URL}/S1").get_json()
    assert f"Mail 2 of the order is due now: {told['message_id']}" in result.output
    assert (told["email"], told["history"][1]["text"]) == ("right@example.com", "mistyped")
    sink[0].wait_for(2)
    assert "--email is not an email address" in outbox("resend", "S1", "--email", "x").stderr
    assert "it is sent without a resend" in outbox("resend", "Q1").stderr
    assert "No order nobody was accepted" in outbox("resend", "nobody").stderr


def test_a_waiting_mail_can_be_cancelled(outbox: Type, shop: Flask) -> None:
    assert outbox("cancel", "Q1").output == "1 mail is cancelled.\n"
    assert shop.test_client().get(f"{URL}/Q1").get_json()["state"] == "cancelled"
    assert outbox("cancel", "S1").stderr == "S1 cannot be cancelled: it is sent\n"
    client = shop.test_client()
    client.post(URL, json=make_body(order_id="E1", send_before="2025-01-01"), headers={"Prefer": "wait=10"})
    assert outbox("cancel", "E1").stderr == "E1 cannot be cancelled: it is expired\n"


class TestShops:
    """Two shops have orders: the person on call names one only where the order's id does not."""

    KEYS: ClassVar = {"one": "1" * 16, "two": "2" * 16}

    @pytest.fixture
    def outbox(self, start_app: Callable[..., Flask], sink: tuple[Sink, int], tmp_path: Path) -> Type:
        sink[0].replies["RCPT"] = ["550 5.1.1 no such user"] * 3
        keys = ",".join(f"{shop}:{key}" for shop, key in self.KEYS.items())
        client = start_app(**relay_variables(sink[1], API_KEYS=keys)).test_client()
        for shop, order_id in (("one", "A"), ("one", "B"), ("two", "B")):
            key = {"X-API-Key": self.KEYS[shop]}
            client.post(URL, json=make_body(order_id=order_id), headers={**key, "Prefer": "wait=10"})
        runner = create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db"})).test_cli_runner()
        return lambda *words: runner.invoke(args=["outbox", *words])

    def test_the_list_names_them(self, outbox: Type) -> None:
        assert [line.split()[3:5] for line in outbox("list").output.splitlines()] == [
            ["two", "B"],
            ["one", "B"],
            ["one", "A"],
        ]

    def test_an_order_is_found_wherever_it_is(self, outbox: Type) -> None:
        assert "A (shop one)" in outbox("show", "A").output
        assert "B (shop two)" in outbox("show", "B", "--shop", "two").output
        assert "for the shop two" in outbox("show", "A", "--shop", "two").stderr
        assert outbox("cancel", "A").output == "1 mail is cancelled.\n"

    def test_an_order_of_several_must_be_told_apart(self, outbox: Type) -> None:
        for words in (("show", "B"), ("retry", "A", "B"), ("cancel", "B")):
            result = outbox(*words)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "The shops one, two each have an order B: choose one with --shop." in result.stderr

    def test_all_are_retried_or_those_of_one(self, outbox: Type, sink: tuple[Sink, int]) -> None:
        assert outbox("retry", "--all", "--shop", "two").output == "1 mail is due now.\n"
        sink[0].wait_for(1)
        assert outbox("retry", "--all").output == "2 mails are due now.\n"
        sink[0].wait_for(3)


def test_purge_deletes_content_and_a_late_replay_still_sends_nothing(
    outbox: Type, sink: tuple[Sink, int], shop: Flask
) -> None:
    kept, _ = sink
    assert outbox("purge").output == "Deleted the content of 0 orders.\n"
    refused = outbox("purge", "--days", "0", input="n\n")
    assert (refused.exit_code, "of all orders that have finished?" in refused.output) == (1, True)
    assert outbox("purge", "--days", "0", "--yes").output == "Deleted the content of 3 orders.\n"
    again = shop.test_client().post(URL, json=make_body(order_id="S1"))
    changed = shop.test_client().post(URL, json=make_body(order_id="S1", total=1))
    assert (again.status_code, changed.status_code, len(kept.mails)) == (200, 409, 1)
    assert outbox("retry", "F1").stderr == "F1 cannot be retried: it is failed, and its content is deleted\n"
    assert "content         deleted" in outbox("show", "F1").output


def test_erase_asks_deletes_the_data_of_one_order_and_cancels_its_mail(outbox: Type, shop: Flask) -> None:
    refused = outbox("erase", "Q1", input="n\n")
    assert (refused.exit_code, "order Q1 (shop default) for good?" in refused.output) == (1, True)
    assert shop.test_client().get(f"{URL}/Q1").status_code == 200
    assert outbox("erase", "Q1", input="y\n").output.endswith("The personal data of order Q1 is deleted.\n")
    assert shop.test_client().get(f"{URL}/Q1").status_code == 410
    assert "content         erased" in outbox("show", "Q1").output
    assert "No order nobody was accepted" in outbox("erase", "nobody", "--yes").stderr


def test_a_bounce_is_listed_and_its_address_released(outbox: Type, shop: Flask) -> None:
    told = ("bounce", datetime.now(UTC), 550, "5.1.1 unknown")
    names = {"shop": "default", "order_id": "S1", "message_id": None}
    event = RelayEvent("1", *told, delivery=Delivery.BOUNCED, **names, mail_id=None, address=None, raw="{}")
    shop.extensions["orderconfirm"].confirmations.record_events([event])
    [line] = outbox("list", "--delivery", "bounced").output.splitlines()
    assert line.split()[2:5] == ["sent/bounced", "default", "S1"]
    [line] = outbox("suppressions", "list").output.splitlines()
    assert line.split()[2:5] == ["default", "bounce", "S1"]
    [address] = json.loads(outbox("suppressions", "list", "--json").output)
    assert (address["email"], address["hash"]) == ("john.doe@example.com", line.split()[5])
    shop.test_client().post(URL, json=make_body(order_id="H1"))
    assert "H1 cannot be retried: it is held, and its address is suppressed" in outbox("retry", "H1").stderr
    assert outbox("suppressions", "release", "John.Doe@example.com").output.splitlines() == [
        "Released for the shop default.",
        "Send its held mails with: flask outbox retry --shop default F1 F2 H1 Q1",
    ]
    assert outbox("suppressions", "list").stderr == "No address is suppressed.\n"
    assert "is not suppressed" in outbox("suppressions", "release", "john.doe@example.com").stderr
    assert outbox("retry", "H1").output == "1 mail is due now.\n"


def test_an_interrupted_command_says_how_far_it_got(capsys: pytest.CaptureFixture[str]) -> None:
    def batches() -> Iterator[int]:
        yield from (500, 20)
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_batches("Retrying", batches())
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith("Interrupted after 520: repeat the command for the remaining ones.\n")


def test_a_database_that_cannot_be_opened_is_reported_in_a_sentence(tmp_path: object) -> None:
    runner = create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{__file__}/x.db"})).test_cli_runner()
    result = runner.invoke(args=["outbox", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the database of DATABASE_URL")


def run_mail(*words: str, **environ: str) -> Result:
    app = create_app(Settings.from_env({"DATABASE_URL": "sqlite:////nowhere/outbox.db", **environ}))
    return app.test_cli_runner().invoke(args=["mail", *words])


def test_preview_writes_the_mail_to_files(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps(make_body(order_id="P-1", locale="de")))
    result = run_mail("preview", f"{tmp_path}/order.json", "--to", f"{tmp_path}/out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mail.html", "mail.txt", "subject.txt"]
    assert (tmp_path / "out" / "subject.txt").read_text(encoding="utf-8") == "Ihre Bestellung P-1\n"


def test_preview_of_a_bad_order_names_its_faults(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps(make_body(total="x")))
    result = run_mail("preview", f"{tmp_path}/order.json")
    assert (result.exit_code, "/total: " in result.stderr) == (1, True)
    (tmp_path / "order.json").write_text("{")
    assert "is not JSON" in run_mail("preview", f"{tmp_path}/order.json").stderr


def test_send_test_sends_the_sample_to_me_and_tells_what_the_relay_said(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    result = run_mail("send-test", "me@shop.example", **relay_variables(port))
    assert result.output == "127.0.0.1 accepted it: 250 2.0.0 Ok: queued\n"
    assert kept.recipients == ["me@shop.example"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"total": NaN}', "NaN is not a JSON number"),
        (b'{"total": 1, "total": 2}', "appears twice"),
        (b"7", "must be a JSON object"),
        (b'{"customer": "x"}', "/customer"),
    ],
)
def test_a_file_that_is_no_order_is_reported_in_a_sentence(
    tmp_path: Path, sink: tuple[Sink, int], body: bytes, words: str
) -> None:
    (tmp_path / "order.json").write_bytes(body)
    for command in (("preview",), ("send-test", "me@shop.example", "--order")):
        result = run_mail(*command, f"{tmp_path}/order.json", **relay_variables(sink[1]))
        assert (result.exit_code, "Traceback" in result.output) == (1, False)
        if command[0] == "preview" or words != "/customer":
            assert words in result.stderr


def test_a_preview_that_cannot_be_written_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run_mail("preview", "--to", f"{tmp_path}/file/preview")
    assert result.exit_code == 1
    assert "Not a directory" in result.stderr and "--to" in result.stderr


def test_send_test_tells_why_it_was_not_sent(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    kept.replies["RCPT"] = ["550 5.1.1 no such user"]
    result = run_mail("send-test", "me@shop.example", **relay_variables(port))
    assert (result.exit_code, result.stderr) == (1, "Error: not sent: rcpt: 550 5.1.1 no such user\n")
    assert "/customer/email" in run_mail("send-test", "nobody", **relay_variables(port)).stderr
    assert "No relay is configured" in run_mail("send-test", "me@shop.example").stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--all"], "--all belongs to --replay."),
        (["--replay"], "Give order ids, or --all."),
        (["--replay", "--all", "--state", "failed"], "--state and --json belong to lists."),
        (["--replay", "S1", "--json"], "--state and --json belong to lists."),
        (["S1", "--state", "failed"], "--state belongs to lists without order ids."),
    ],
)
def test_callback_refuses_options_that_it_would_ignore(outbox: Type, words: list[str], expected: str) -> None:
    result = outbox("callback", *words)
    assert result.exit_code == 2
    assert expected in result.stderr
