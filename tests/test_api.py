"""The API as a shop meets it: over HTTP, against a running service, with its keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient
from processes import query, wait_until
from smtp_server import Sink
from werkzeug.test import TestResponse

from orderconfirm.models import State
from orderconfirm.web.api import MOST_WAITING
from orderconfirm.web.guard import WRONG_KEY_DELAY

URL = "/api/order-confirmation"
LIST = "/api/order-confirmations"
KEY, OTHER_KEY = "first-shop-s-long-key", "other-shop-s-long-key"
StartApp = Callable[..., Flask]


@pytest.fixture
def client(sink: tuple[Sink, int], start_app: StartApp) -> FlaskClient:
    """A shop without keys, in development."""
    return start_app(**relay_variables(sink[1], MAIL_RETRY_DELAYS="60")).test_client()


def place(client: FlaskClient, order_id: str, headers: dict[str, str] | None = None, **changes: Any) -> TestResponse:
    return client.post(URL, json=make_body(order_id=order_id, **changes), headers=headers)


def wait_for(client: FlaskClient, order_id: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = client.get(f"{URL}/{order_id}").get_json()
        return told if told["state"] in states else None

    found = wait_until(look)
    assert found is not None
    return found


def problem_of(answer: TestResponse) -> str:
    assert answer.content_type == "application/problem+json"
    told = answer.get_json()
    assert told["status"] == answer.status_code
    return str(told["type"].removeprefix("urn:orderconfirm:problem:"))


class TestWaiting:
    def test_a_caller_may_wait_for_the_outcome(self, client: FlaskClient) -> None:
        answer = place(client, "1", {"Prefer": "wait=10"})
        assert (answer.status_code, answer.get_json()["message"]) == (200, "Order confirmation email sent")
        assert answer.headers["Preference-Applied"] == "wait=10"

    def test_a_mail_that_failed_for_good_is_a_502_with_the_relay_s_words(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        sink[0].replies["RCPT"] = ["550 5.1.1 no such user"]
        answer = place(client, "1", {"Prefer": "respond-async, wait=10"})
        assert (answer.status_code, problem_of(answer)) == (502, "not-sent")
        assert "no such user" in answer.get_json()["detail"]

    def test_a_mail_that_is_still_on_its_way_is_a_202(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["451 4.3.0 later"]
        began = time.monotonic()
        answer = place(client, "1", {"Prefer": "wait=1"})
        assert (answer.status_code, answer.get_json()["state"]) == (202, "queued")
        assert 0.9 < time.monotonic() - began < 5

    def test_those_who_wait_leave_room_for_orders(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].held_at = "MAIL"
        app = client.application
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(lambda n: place(app.test_client(), f"{n}", {"Prefer": "wait=2"}), range(20)))
        sink[0].held_at = None
        assert {answer.status_code for answer in answers} == {202}
        assert sum("Preference-Applied" in answer.headers for answer in answers) == MOST_WAITING

    @pytest.mark.parametrize("prefer", ["", "wait", "wait=soon", "return=minimal", "wait=-1"])
    def test_a_preference_that_cannot_be_understood_is_left_aside(self, client: FlaskClient, prefer: str) -> None:
        answer = place(client, "1", {"Prefer": prefer})
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer.headers


class TestIdempotencyKey:
    def test_the_same_key_with_the_same_body_is_the_same_order(self, client: FlaskClient) -> None:
        answers = [place(client, "1", {"Idempotency-Key": "k"}).status_code for _ in range(2)]
        assert answers == [202, 200]

    @pytest.mark.parametrize("changes", [{"order_id": "2"}, {"total": 120}])
    def test_the_same_key_with_another_body_is_a_conflict(self, client: FlaskClient, changes: dict[str, Any]) -> None:
        place(client, "1", {"Idempotency-Key": "k"})
        answer = client.post(URL, json=make_body(**{"order_id": "1", **changes}), headers={"Idempotency-Key": "k"})
        assert (answer.status_code, problem_of(answer)) == (409, "idempotency-conflict")
        assert client.get(f"{URL}/2").status_code == 404

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
        assert ids("email=Jane@example.com") == ["other"]
        assert ids("since=2020-01-01") == ["other", "failed"]
        assert ids("until=2020-01-01T00:00:00Z") == []

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("limit=0", "/limit"),
            ("limit=x", "/limit"),
            ("state=lost", "/state"),
            ("cursor=abc", "/cursor"),
            ("since=soon", "/since"),
            ("email=nobody", "/email"),
        ],
    )
    def test_a_bad_query_is_told_by_its_name(self, client: FlaskClient, query: str, pointer: str) -> None:
        answer = client.get(f"{LIST}?{query}")
        assert (answer.status_code, problem_of(answer)) == (422, "invalid-request")
        assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


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
        desk = client.application.extensions["orderconfirm"].desk
        assert desk.requeue("default", None, [State.FAILED, State.CANCELLED]) == 0

    def test_many_at_once_are_one_and_an_erased_order_stays_erased(
        self, client: FlaskClient, sink: tuple[Sink, int]
    ) -> None:
        app = client.application
        for number in range(10):
            place(client, f"{number}")
            wait_for(client, f"{number}", "sent")

            def act(name: int, path: str = f"{URL}/{number}") -> int:
                own = app.test_client()
                return (own.delete(path) if name == 3 else own.post(f"{path}/resend")).status_code

            with ThreadPoolExecutor(6) as threads:
                statuses = list(threads.map(act, range(6)))
            assert statuses.count(202) <= 1
            if statuses[3] == 204:
                assert client.get(f"{URL}/{number}").status_code == 410
        found = [told["message_id"] for told in client.get(f"{LIST}?limit=200").get_json()["orders"]]
        assert len(found) == len(set(found))

    def test_a_conflict_is_told_of_the_order_as_it_was_accepted(self, client: FlaskClient) -> None:
        place(client, "1")
        wait_for(client, "1", "sent")
        client.post(f"{URL}/1/resend", json={"email": "right@example.com"})
        answer = place(client, "1", total=120)
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/total"]
        customer = {**make_body()["customer"], "email": "right@example.com"}
        answer = place(client, "1", customer=customer)
        assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/customer/email"]

    def test_a_bad_address_and_an_unknown_order_are_told(self, client: FlaskClient) -> None:
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
        answer = client.post(f"{URL}/1/resend")
        assert (answer.status_code, problem_of(answer)) == (410, "content-deleted")
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

    def test_what_waits_is_withdrawn_when_it_is_erased(self, client: FlaskClient, sink: tuple[Sink, int]) -> None:
        sink[0].replies["RCPT"] = ["451 later"]
        place(client, "1")
        wait_until(lambda: client.get(f"{URL}/1").get_json()["history"])
        assert client.delete(f"{URL}/1").status_code == 204
        assert client.get("/ready").get_json()["mails"] == {}


class TestKeys:
    @pytest.fixture
    def app(self, start_app: StartApp) -> Flask:
        hashed = sha256(OTHER_KEY.encode()).hexdigest()
        return start_app(API_KEYS=f"first:{KEY},first:its-next-key-for-rotation,other:sha256={hashed}")

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": f"Bearer {KEY}"},
            {"X-API-Key": KEY},
            {"X-API-Key": OTHER_KEY},
            {"authorization": "bearer its-next-key-for-rotation"},
        ],
    )
    def test_a_key_opens_the_door(self, app: Flask, headers: dict[str, str]) -> None:
        assert place(app.test_client(), "1", headers).status_code == 202

    @pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Basic eDp5"}])
    def test_without_one_nothing_is_read_or_told(self, app: Flask, headers: dict[str, str], log: list[str]) -> None:
        answer = app.test_client().post(URL, data="{", headers=headers)
        assert (answer.status_code, problem_of(answer)) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
        assert log == ["a request without a valid key"]

    def test_a_shop_sees_its_own_orders_alone(self, app: Flask) -> None:
        client = app.test_client()
        first, other = {"X-API-Key": KEY}, {"X-API-Key": OTHER_KEY}
        assert place(client, "1", first).status_code == 202
        assert client.get(f"{URL}/1", headers=other).status_code == 404
        assert client.get(LIST, headers=other).get_json()["orders"] == []
        assert place(client, "1", other, total=1).status_code == 202
        for path in ("resend", "cancel"):
            assert client.post(f"{URL}/nobody/{path}", headers=other).status_code == 404
        ids = {client.get(f"{URL}/1", headers=headers).get_json()["message_id"] for headers in (first, other)}
        assert len(ids) == 2

    def test_who_guesses_keys_is_slowed_down_and_nobody_else(self, app: Flask) -> None:
        def guess(number: int) -> tuple[int, float]:
            began = time.monotonic()
            answer = place(app.test_client(), "1", {"X-API-Key": f"guess {number}"})
            return answer.status_code, time.monotonic() - began

        assert [guess(number)[0] for number in range(10)] == [401] * 10
        assert guess(10) >= (401, WRONG_KEY_DELAY)
        with ThreadPoolExecutor(12) as threads:
            late = [status for status, _ in threads.map(guess, range(12))]
        assert set(late) == {401, 429}
        assert place(app.test_client(), "1", {"X-API-Key": KEY}).status_code == 202

    def test_each_key_has_its_rate(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=f"first:{KEY},other:{OTHER_KEY}", API_RATE_LIMIT="3/1m").test_client()
        statuses = [client.get(LIST, headers={"X-API-Key": KEY}).status_code for _ in range(5)]
        assert statuses == [200] * 3 + [429] * 2
        assert client.get(LIST, headers={"X-API-Key": OTHER_KEY}).status_code == 200


class TestOtherSites:
    """Without keys: what the page of another site has its reader's browser send."""

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_they_can_change_nothing(self, client: FlaskClient, site: str) -> None:
        place(client, "1")
        headers = {"Sec-Fetch-Site": site, "Origin": "https://e.example"}
        for path in (URL, f"{URL}/1/resend", f"{URL}/1/cancel"):
            answer = client.post(path, headers=headers)
            assert (answer.status_code, problem_of(answer)) == (403, "cross-site")
        assert client.delete(f"{URL}/1", headers=headers).status_code == 403
        assert client.get(f"{URL}/1", headers=headers).get_json()["revision"] == 0

    def test_a_browser_that_does_not_name_the_site_sends_no_order_without_a_preflight(
        self, client: FlaskClient
    ) -> None:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
            headers = {"Origin": "https://e.example"}
            assert client.post(URL, data="{}", content_type=content_type, headers=headers).status_code == 415

    @pytest.mark.parametrize("site", [None, "none", "same-origin"])
    def test_our_own_pages_and_programs_are_none(self, client: FlaskClient, site: str | None) -> None:
        assert place(client, "1", {"Sec-Fetch-Site": site} if site else {}).status_code == 202

    def test_an_origin_that_is_named_is_none(self, start_app: StartApp) -> None:
        client = start_app(CORS_ORIGINS="https://Shop.example").test_client()
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://shop.example"}
        assert place(client, "1", headers).status_code == 202

    def test_a_key_is_enough(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=f"first:{KEY}").test_client()
        assert place(client, "1", {"Sec-Fetch-Site": "cross-site", "X-API-Key": KEY}).status_code == 202


class TestEveryAnswer:
    def test_an_order_id_leads_to_no_other_order(self, client: FlaskClient) -> None:
        place(client, "lead")
        for path in ("%2Flead", "/lead", "..%2Flead", "a%00b"):
            answer = client.delete(f"{URL}/{path}")
            assert (answer.status_code, problem_of(answer)) == (404, "not-found")
        for order_id in ("/lead", "preview", "a/cancel", "a/resend", "..", "a/../b", "./a", "a/."):
            answer = place(client, order_id)
            assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/order_id"]
        for order_id in ("a//b", "...", "a.b/c", "cancel", "preview/1", "x..y"):
            link = place(client, order_id).get_json()["links"]["self"]
            assert client.get(link).get_json()["order_id"] == order_id

    def test_a_request_has_an_id_its_own_or_ours(self, client: FlaskClient) -> None:
        assert client.get("/health", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
        for bad in ("", "a b", "x" * 200, "ü"):
            assert len(client.get("/health", headers={"X-Request-ID": bad}).headers["X-Request-ID"]) == 32

    def test_nothing_of_the_api_is_cached_and_nothing_is_run(self, client: FlaskClient) -> None:
        place(client, "1")
        for path in (f"{URL}/1", LIST, f"{URL}/nobody"):
            headers = client.get(path).headers
            assert headers["Cache-Control"] == "no-store"
            assert headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert headers["X-Content-Type-Options"] == "nosniff"

    def test_an_answer_that_nobody_can_read_is_not_sent(self, client: FlaskClient) -> None:
        for accept in ("text/html", "application/json;q=0, */*;q=0.1", "text/html, application/xml"):
            answer = client.get(LIST, headers={"Accept": accept})
            assert (answer.status_code, problem_of(answer)) == (406, "not-acceptable")
        taken = ("*/*", "application/json", "application/json; charset=utf-8", "application/problem+json", "")
        for accept in (*taken, "application/problem+json, application/*"):
            assert client.get(LIST, headers={"Accept": accept}).status_code == 200

    def test_head_is_get_without_a_body(self, client: FlaskClient) -> None:
        answer = client.head(LIST)
        assert (answer.status_code, answer.get_data()) == (200, b"")

    def test_a_wrong_method_names_the_right_ones(self, client: FlaskClient) -> None:
        answer = client.patch(f"{URL}/1")
        assert (answer.status_code, problem_of(answer)) == (405, "method-not-allowed")
        assert {"GET", "DELETE"} <= set(answer.headers["Allow"].split(", "))

    def test_no_other_origin_s_script_may_call_it_unless_it_is_named(self, start_app: StartApp) -> None:
        origin = {"Origin": "https://shop.example"}
        assert "Access-Control-Allow-Origin" not in start_app().test_client().get(LIST, headers=origin).headers

    def test_an_origin_that_is_named_may(self, start_app: StartApp) -> None:
        client = start_app(CORS_ORIGINS="https://shop.example").test_client()
        assert (
            client.get(LIST, headers={"Origin": "https://shop.example"}).headers["Access-Control-Allow-Origin"]
            == "https://shop.example"
        )
        assert "Access-Control-Allow-Origin" not in client.get(LIST, headers={"Origin": "https://e.example"}).headers

    def test_its_browser_may_ask_before_it_sends_a_key(self, start_app: StartApp) -> None:
        client = start_app(CORS_ORIGINS="https://shop.example", API_KEYS=f"first:{KEY}").test_client()
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-api-key"}
        answer = client.options(URL, headers={"Origin": "https://shop.example", **asked})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-api-key"


class TestDocumentation:
    def test_the_document_is_openapi_3_1_and_may_be_asked_for_again(self, client: FlaskClient) -> None:
        answer = client.get("/openapi.json")
        assert answer.get_json()["openapi"] == "3.1.0"
        again = client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.get_data()) == (304, b"")

    @pytest.mark.parametrize("page", ["/docs", "/redoc"])
    def test_its_readers_load_everything_from_us(self, client: FlaskClient, page: str) -> None:
        source = client.get(page).get_data(as_text=True)
        assert "https:" not in source and '"//' not in source
        for path in source.split('src="')[1:]:
            with client.get(path.split('"')[0]) as asset:
                assert asset.status_code == 200
