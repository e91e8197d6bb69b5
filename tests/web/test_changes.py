"""Changes of an order over the API: its mail is sent again or cancelled, and the order is erased."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes as parse
from typing import Any

from callers import LIST, URL, place, problem_of, wait_for
from factories import make_body
from flask.testing import FlaskClient
from processes import query, wait_until
from smtp_server import Sink

from orderconfirm.models import State


class TestResend:
    def test_an_order_is_sent_again_as_a_new_mail_to_another_address(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        place(client, "1")
        first = wait_for(client, "1", "sent")
        answer = client.post(f"{URL}/1/resend", json={"email": "right@example.com", "reason": "mistyped"})
        assert (answer.status_code, answer.get_json()["revision"]) == (202, 1)
        second = wait_for(client, "1", "sent")
        assert second["message_id"] != first["message_id"]
        assert sink[0].recipients == ["john.doe@example.com", "right@example.com"]
        assert [event["event"] for event in second["history"]] == ["sent", "resent", "sent"]
        assert second["history"][1]["text"] == "mistyped"
        assert place(client, "1").status_code == 200

    def test_without_a_body_it_goes_to_the_same_address(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        place(client, "A/1")
        wait_for(client, "A/1", "sent")
        assert client.post(f"{URL}/A/1/resend").status_code == 202
        sink[0].wait_for(2)
        assert sink[0].recipients == ["john.doe@example.com"] * 2

    def test_a_body_that_comes_in_chunks_counts_too(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
        answer = client.post(f"{URL}/1/resend", json={"email": "right@example.com"}, environ_overrides=chunked)
        assert answer.status_code == 202
        sink[0].wait_for(2)
        assert sink[0].recipients[1] == "right@example.com"

    def test_what_is_on_its_way_is_not_sent_twice(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["451 later"]
        place(client, "1")
        wait_until(lambda: client.get(f"{URL}/1").get_json()["history"])
        answer = client.post(f"{URL}/1/resend")
        assert (answer.status_code, problem_of(answer)) == (409, "wrong-state")

    def test_what_was_replaced_neither_moves_nor_waits_any_more(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        sink[0].replies["RCPT"] = ["550 no"]
        place(client, "1")
        wait_for(client, "1", "failed")
        client.post(f"{URL}/1/resend", json={"email": "right@example.com"})
        wait_for(client, "1", "sent")
        answer = client.post(f"{URL}/1/cancel")
        assert (answer.status_code, problem_of(answer)) == (409, "wrong-state")
        assert client.get(f"{LIST}?state=failed").get_json()["orders"] == []
        admin = client.application.extensions["orderconfirm"].confirmations._admin
        assert admin.requeue_batch(["default"], [State.FAILED, State.CANCELLED])[0] == 0

    def test_many_at_once_are_one_and_an_erased_order_stays_erased(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        app = client.application
        for number in range(10):
            place(client, f"{number}")
            wait_for(client, f"{number}", "sent")
            # A copy that was sent in between may be followed by another.
            sink[0].held_at = "MAIL"

            def act(name: int, path: str = f"{URL}/{number}") -> int:
                own = app.test_client()
                return (own.delete(path) if name == 3 else own.post(f"{path}/resend")).status_code

            with ThreadPoolExecutor(6) as threads:
                statuses = list(threads.map(act, range(6)))
            sink[0].held_at = None
            assert statuses.count(202) <= 1
            if statuses[3] == 204:
                assert client.get(f"{URL}/{number}").status_code == 410
        found = [told["message_id"] for told in client.get(f"{LIST}?limit=200").get_json()["orders"]]
        assert len(found) == len(set(found))

    def test_a_conflict_is_about_the_order_as_it_was_accepted(self, client: FlaskClient) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        client.post(f"{URL}/1/resend", json={"email": "right@example.com"})
        answer = place(client, "1", total=120)
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/total"]
        customer = {**make_body()["customer"], "email": "right@example.com"}
        answer = place(client, "1", customer=customer)
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/customer/email"]

    def test_the_same_request_with_the_same_key_is_done_once(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        key = {"Idempotency-Key": "again"}
        place(client, "1")
        place(client, "2")
        wait_for(client, "1", "sent")
        wait_for(client, "2", "sent")
        right = {"email": "right@example.com"}
        assert client.post(f"{URL}/1/resend", json=right, headers=key).status_code == 202
        assert client.post(f"{URL}/1/resend", json=right, headers=key).status_code == 200
        wait_for(client, "1", "sent")
        answer = client.post(f"{URL}/1/resend", json=right, headers=key)
        assert (answer.status_code, answer.get_json()["revision"]) == (200, 1)
        for path, body in ((f"{URL}/1/resend", {}), (f"{URL}/2/resend", right), (URL, make_body(order_id="3"))):
            assert problem_of(client.post(path, json=body, headers=key)) == "idempotency-conflict"
        assert len(sink[0].mails) == 3
        assert client.post(f"{URL}/1/resend", json=right).status_code == 202

    def test_a_name_that_is_unknown_sends_nothing(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        answer = client.post(f"{URL}/1/resend", json={"emial": "right@example.com"})
        assert (answer.status_code, problem_of(answer)) == (422, "invalid-request")
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/emial"]
        assert len(sink[0].mails) == 1

    def test_without_an_address_it_goes_to_the_order_s_own(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        client.post(f"{URL}/1/resend", json={"email": "Colleague@example.com"})
        wait_for(client, "1", "sent")
        client.post(f"{URL}/1/resend")
        told = wait_for(client, "1", "sent")
        mails = [*told["earlier_mails"], told]
        own, other = "john.doe@example.com", "colleague@example.com"
        assert [(mail["revision"], mail["email"]) for mail in mails] == [(0, own), (1, other), (2, own)]
        assert [str(parse(raw)["To"]).partition("<")[2] for raw in sink[0].mails] == [
            "john.doe@example.com>",
            "Colleague@example.com>",
            "john.doe@example.com>",
        ]
        assert [mail["message_id"] for mail in mails] == [str(parse(raw)["Message-ID"]) for raw in sink[0].mails]

    def test_a_bad_address_and_an_unknown_order_are_reported(self, client: FlaskClient) -> None:
        assert client.post(f"{URL}/1/resend").status_code == 404
        place(client, "1")
        answer = client.post(f"{URL}/1/resend", json={"email": "x"})
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/email"]


class TestCancelAndErase:
    def test_a_waiting_mail_is_cancelled_and_a_sent_one_is_not(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        sink[0].replies["RCPT"] = ["451 later"]
        place(client, "1")
        wait_until(lambda: client.get(f"{URL}/1").get_json()["history"])
        assert client.post(f"{URL}/1/cancel").get_json()["state"] == "cancelled"
        assert client.post(f"{URL}/1/cancel").get_json()["state"] == "cancelled"
        place(client, "2")
        wait_for(client, "2", "sent")
        answer = client.post(f"{URL}/2/cancel")
        assert (answer.status_code, problem_of(answer)) == (409, "wrong-state")
        assert client.post(f"{URL}/3/cancel").status_code == 404

    def test_an_erased_order_is_known_and_nothing_personal_of_it(
        self, client: FlaskClient, sink: tuple[Sink, int], tmp_path: Any
    ) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        assert client.delete(f"{URL}/1").status_code == 204
        answer = client.get(f"{URL}/1")
        assert (answer.status_code, problem_of(answer)) == (410, "content-deleted")
        for verb in ("resend", "cancel"):
            answer = client.post(f"{URL}/1/{verb}")
            assert (answer.status_code, problem_of(answer)) == (410, "content-deleted")
        answer = place(client, "1", total=120)
        assert (problem_of(answer), answer.get_json()["errors"]) == ("order-conflict", [])
        assert "cannot be listed" in answer.get_json()["detail"]
        assert client.delete(f"{URL}/1").status_code == 204
        assert query(tmp_path, "SELECT count(*) FROM history WHERE event = 'erased'") == [(1,)]
        assert (place(client, "1").status_code, len(sink[0].mails)) == (200, 1)
        assert client.get(f"{LIST}?email=john.doe@example.com").get_json()["orders"] == []
        assert client.delete(f"{URL}/2").status_code == 404

    def test_an_erased_order_s_words_are_gone_from_the_disk(
        self, client: FlaskClient, sink: tuple[Sink, int], tmp_path: Any
    ) -> None:
        sink[0].replies["RCPT"] = ["550 5.1.1 <john.doe@example.com> moved away"]
        place(client, "1", {"Idempotency-Key": "anna-43-1-555"})
        wait_for(client, "1", "failed")
        client.post(f"{URL}/1/resend", json={"email": "right@example.com", "reason": "Anna called +43 1 555"})
        wait_for(client, "1", "sent")
        assert client.delete(f"{URL}/1").status_code == 204
        for table in ("outbox", "history", "idempotency_keys"):
            rows = str(query(tmp_path, f"SELECT * FROM {table}"))
            for word in ("john.doe", "right@", "Anna", "anna", "moved away", "Headphones"):
                assert word not in rows
        for file in (tmp_path / "outbox.db", tmp_path / "outbox.db-wal"):
            content = file.read_bytes()
            assert not [word for word in (b"john.doe", b"right@", b"+43 1 555", b"Headphones") if word in content], file

    def test_a_waiting_mail_is_cancelled_when_its_order_is_erased(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        sink[0].replies["RCPT"] = ["451 later"]
        place(client, "1")
        wait_until(lambda: client.get(f"{URL}/1").get_json()["history"])
        assert client.delete(f"{URL}/1").status_code == 204
        assert client.get("/ready").get_json()["mails"] == {}
