"""The API as a shop meets it: over HTTP, against a running service."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from callers import LIST, URL, place, problem_of, wait_for
from flask.testing import FlaskClient
from processes import query, wait_until
from smtp_server import Sink

from orderconfirm.web.api import MAX_WAITING


class TestWaiting:
    def test_a_caller_may_wait_for_the_outcome(self, client: FlaskClient) -> None:
        answer = place(client, "1", {"Prefer": "wait=10"})
        assert (answer.status_code, answer.get_json()["message"]) == (200, "Order confirmation email sent")
        assert answer.headers["Preference-Applied"] == "wait=10"

    def test_a_permanently_failed_mail_is_a_502_with_the_relay_s_reply(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        sink[0].replies["RCPT"] = ["550 5.1.1 no such user"]
        answer = place(client, "1", {"Prefer": "respond-async, wait=10"})
        assert (answer.status_code, problem_of(answer)) == (502, "not-sent")
        assert "no such user" in answer.get_json()["detail"]
        assert answer.headers["Preference-Applied"] == "wait=10"

    def test_the_same_order_again_tells_that_its_mail_failed(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["550 5.1.1 no such user"]
        assert place(client, "1").get_json()["status"] == "success"
        wait_for(client, "1", "failed")
        answer = place(client, "1")
        told = answer.get_json()
        assert (answer.status_code, told["status"], told["state"]) == (200, "failed", "failed")
        assert "no such user" in told["reason"]

    def test_a_mail_that_is_still_on_its_way_is_a_202(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["451 4.3.0 later"]
        began = time.monotonic()
        answer = place(client, "1", {"Prefer": "wait=1"})
        assert (answer.status_code, answer.get_json()["state"]) == (202, "queued")
        assert 0.9 < time.monotonic() - began < 5

    def test_so_is_the_same_order_until_its_mail_is_out(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["451 4.3.0 later"]
        place(client, "1")
        assert place(client, "1").status_code == 200
        answer = place(client, "1", {"Prefer": "wait=1"})
        assert (answer.status_code, answer.get_json()["state"]) == (202, "queued")
        client.post(f"{URL}/1/cancel")
        answer = place(client, "1", {"Prefer": "wait=1"})
        assert (answer.status_code, answer.get_json()["state"]) == (200, "cancelled")

    def test_those_who_wait_leave_room_for_orders(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].held_at = "MAIL"
        app = client.application
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(lambda n: place(app.test_client(), f"{n}", {"Prefer": "wait=2"}), range(20)))
        sink[0].held_at = None
        assert {answer.status_code for answer in answers} == {202}
        assert sum("Preference-Applied" in answer.headers for answer in answers) == MAX_WAITING

    @pytest.mark.parametrize("prefer", ["", "wait", "wait=soon", "return=minimal", "wait=-1"])
    def test_a_preference_that_cannot_be_understood_is_left_aside(self, client: FlaskClient, prefer: str) -> None:
        answer = place(client, "1", {"Prefer": prefer})
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer.headers


class TestTheSameOrderAgain:
    def test_the_response_says_that_its_mail_was_sent_before_and_when(self, client: FlaskClient) -> None:
        place(client, "1")
        told = wait_for(client, "1", "sent")
        sent_at = told["changed_at"][: len("2025-03-15T14:30:02")]
        for headers in ({}, {"Prefer": "wait=10"}):
            answer = place(client, "1", headers).get_json()
            assert answer["message"] == f"Order confirmation email was sent before, at {sent_at}+00:00"
            assert (answer["status"], answer["state"], answer["accepted_at"]) == (
                "success",
                "sent",
                told["accepted_at"],
            )

    def test_it_is_not_sent_before_when_its_caller_waited_for_it(
        self, client: FlaskClient, sink: tuple[Sink, int], tmp_path: Path
    ) -> None:
        sink[0].held_at = "MAIL"
        place(client, "1")
        with ThreadPoolExecutor(1) as thread:
            headers = {"Prefer": "wait=10", "Idempotency-Key": "k"}
            waiting = thread.submit(place, client.application.test_client(), "1", headers)
            wait_until(lambda: query(tmp_path, "SELECT * FROM idempotency_keys"))
            sink[0].held_at = None
            assert waiting.result(20).get_json()["message"] == "Order confirmation email sent"

    def test_once_it_is_erased_nobody_knows_when(self, client: FlaskClient) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        client.delete(f"{URL}/1")
        assert place(client, "1").get_json()["message"] == "Order confirmation email was sent before"

    def test_both_answers_are_documented(self, client: FlaskClient) -> None:
        answer = client.get("/openapi.json").get_json()["paths"][URL]["post"]["responses"]["200"]
        examples = answer["content"]["application/json"]["examples"].values()
        assert [example["value"]["message"] for example in examples] == [
            "Order confirmation email was sent before, at 2025-03-15T14:30:02+00:00",
            "Order confirmation email sent",
        ]


class TestIdempotencyKey:
    def test_the_same_key_with_the_same_body_is_the_same_order(self, client: FlaskClient) -> None:
        answers = [place(client, "1", {"Idempotency-Key": "k"}).status_code for _ in range(2)]
        assert answers == [202, 200]

    def test_the_same_key_with_another_order_is_a_conflict(self, client: FlaskClient) -> None:
        place(client, "1", {"Idempotency-Key": "k"})
        answer = place(client, "2", {"Idempotency-Key": "k"})
        assert (answer.status_code, problem_of(answer)) == (409, "idempotency-conflict")
        assert client.get(f"{URL}/2").status_code == 404

    def test_the_same_key_with_the_same_order_changed_tells_what_differs(self, client: FlaskClient) -> None:
        place(client, "1", {"Idempotency-Key": "k"})
        answer = place(client, "1", {"Idempotency-Key": "k"}, total=120)
        assert (answer.status_code, problem_of(answer)) == (409, "order-conflict")
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/total"]

    def test_an_erased_order_keeps_no_key(self, client: FlaskClient, tmp_path: Any) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        assert client.delete(f"{URL}/1").status_code == 204
        assert place(client, "1", {"Idempotency-Key": "k"}).status_code == 200
        assert query(tmp_path, "SELECT * FROM idempotency_keys") == []

    def test_a_key_that_comes_with_a_known_order_is_its_own_from_then_on(self, client: FlaskClient) -> None:
        key = {"Idempotency-Key": "k"}
        assert place(client, "1").status_code == 202
        assert place(client, "1", key).status_code == 200
        assert problem_of(place(client, "2", key)) == "idempotency-conflict"

    def test_a_refused_order_leaves_its_key_free(self, client: FlaskClient) -> None:
        key = {"Idempotency-Key": "k"}
        place(client, "1")
        assert problem_of(place(client, "1", key, total=120)) == "order-conflict"
        assert place(client, "2", key, total=-1).status_code == 422
        assert place(client, "2", key).status_code == 202

    def test_a_key_that_is_too_long_is_refused(self, client: FlaskClient) -> None:
        assert place(client, "1", {"Idempotency-Key": "k" * 256}).status_code == 400

    def test_one_key_in_many_threads_takes_one_order(self, client: FlaskClient) -> None:
        app = client.application
        with ThreadPoolExecutor(8) as threads:
            statuses = list(
                threads.map(
                    lambda number: place(app.test_client(), f"{number}", {"Idempotency-Key": "k"}).status_code,
                    range(16),
                )
            )
        assert sorted(statuses) == [202] + [409] * 15


class TestList:
    def test_the_newest_come_first_page_by_page_and_nothing_new_moves_them(self, client: FlaskClient) -> None:
        for number in range(7):
            place(client, f"{number}")
        first = client.get(f"{LIST}?limit=3").get_json()
        place(client, "new")
        second = client.get(f"{LIST}?limit=3&cursor={first['next_cursor']}").get_json()
        third = client.get(f"{LIST}?limit=3&cursor={second['next_cursor']}").get_json()
        pages = [[order["order_id"] for order in page["orders"]] for page in (first, second, third)]
        assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
        assert third["next_cursor"] is None

    def test_the_mails_of_several_states_of_a_time_come_in_one_order_page_by_page(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        for number in range(6):
            sink[0].replies["RCPT"] = ["550 no"] if number % 3 == 0 else ["451 later"] if number % 3 == 1 else []
            place(client, f"{number}")
            wait_until(lambda number=number: client.get(f"{URL}/{number}").get_json()["history"])
        query = f"{LIST}?state=sent,failed,sent&since=2020-01-01&until=2120-01-01&limit=3"
        first = client.get(query).get_json()
        second = client.get(f"{query}&cursor={first['next_cursor']}").get_json()
        pages = [[order["order_id"] for order in page["orders"]] for page in (first, second)]
        assert (pages, second["next_cursor"]) == ([["5", "3", "2"], ["0"]], None)

    def test_it_can_be_narrowed(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["550 no"]
        place(client, "failed")
        wait_for(client, "failed", "failed")
        place(client, "other", customer={"name": "Jane", "email": "Jane@Example.com"})
        wait_for(client, "other", "sent")

        def ids(query: str) -> list[str]:
            return [order["order_id"] for order in client.get(f"{LIST}?{query}").get_json()["orders"]]

        assert ids("state=failed") == ["failed"]
        assert ids("state=failed,sent") == ["other", "failed"]
        assert ids("email=jane+tag@example.com") == ids("email=jane%2Btag@example.com") == []
        assert ids("email=Jane@example.com") == ids("email=jANE%40EXAMPLE.com") == ["other"]
        assert ids("order_id=other") == ids("order_id=other&state=sent") == ["other"]
        assert ids("order_id=oth") == ids("delivery=bounced,complained") == ids("possible_copies=true") == []
        assert ids("possible_copies=false") == ids("since=2020-01-01") == ["other", "failed"]
        assert ids("since=2020-01-01T00:00:00+00:00") == ids("since=2020-01-01 12:30") == ["other", "failed"]
        assert ids("until=2020-01-01T00:00:00.125000+0100") == []
        assert ids("until=2020-01-01T00:00:00Z") == []

    def test_a_time_that_is_returned_is_the_one_that_is_found(self, client: FlaskClient) -> None:
        for number in range(40):
            place(client, f"{number}")
        for order in client.get(LIST).get_json()["orders"]:
            moment, order_id = quote(order["accepted_at"]), order["order_id"]
            since, until = (
                [other["order_id"] for other in client.get(f"{LIST}?{name}={moment}").get_json()["orders"]]
                for name in ("since", "until")
            )
            assert order_id in since and order_id not in until

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("limit=0", "/limit"),
            ("limit=x", "/limit"),
            ("limit=5_0", "/limit"),
            ("limit=%D9%A5", "/limit"),
            ("state=lost", "/state"),
            ("state=sent&state=failed", "/state"),
            ("delivery=bounced,lost", "/delivery"),
            ("order_id=a%00", "/order_id"),
            ("possible_copies=2", "/possible_copies"),
            ("stat=sent", "/stat"),
            ("email=", "/email"),
            ("since=+", "/since"),
            ("cursor=%D9%A1_1", "/cursor"),
            ("cursor=abc", "/cursor"),
            ("since=soon", "/since"),
            ("email=nobody", "/email"),
        ],
    )
    def test_the_error_of_a_bad_query_names_the_parameter(self, client: FlaskClient, query: str, pointer: str) -> None:
        answer = client.get(f"{LIST}?{query}")
        assert (answer.status_code, problem_of(answer)) == (422, "invalid-request")
        assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]
