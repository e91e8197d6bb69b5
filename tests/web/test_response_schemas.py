"""Who may call, and what every answer has in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from callers import LIST, URL, place, problem_of
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient

from orderconfirm import create_app
from orderconfirm.models import DeliveryEvent, Event, HistoryEntry, OutboxEntry, State
from orderconfirm.queries import Callback, CallbackState
from orderconfirm.settings import ApiKey, Settings
from orderconfirm.web.auth import WRONG_KEY_DELAY, WRONG_KEYS_PER_MINUTE
from orderconfirm.web.response_schemas import (
    CallbackSchema,
    DeliveryEventSchema,
    HistorySchema,
    LinksSchema,
    MailSchema,
    PlacedSchema,
    PreviewSchema,
    SummarySchema,
    detail,
    summary,
)

KEY, OTHER_KEY = "first-shop-s-long-key", "other-shop-s-long-key"
StartApp = Callable[..., Flask]


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
    def test_without_one_nothing_is_read_or_returned(self, app: Flask, headers: dict[str, str], log: list[str]) -> None:
        answer = app.test_client().post(URL, data="{", headers=headers)
        assert (answer.status_code, problem_of(answer)) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
        assert log == ["request without a valid API key"]

    @pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"Authorization": "Bearer "}, {"Authorization": ""}])
    def test_no_key_is_none_of_the_keys(self, headers: dict[str, str]) -> None:
        """Not even where the settings are not read from the environment, which refuses such a key."""
        nothing = ApiKey("first", sha256(b"").hexdigest())
        client = create_app(Settings(api_keys=(nothing,))).test_client()
        assert client.get(LIST, headers=headers).status_code == 401

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

    def test_who_guesses_keys_is_slowed_down_and_nobody_else(self, app: Flask, log: list[str]) -> None:
        def guess(number: int) -> tuple[int, float]:
            began = time.monotonic()
            answer = place(app.test_client(), "1", {"X-API-Key": f"guess {number}"})
            return answer.status_code, time.monotonic() - began

        assert [guess(number)[0] for number in range(10)] == [401] * 10
        assert guess(10) >= (401, WRONG_KEY_DELAY)
        with ThreadPoolExecutor(12) as threads:
            late = [status for status, _ in threads.map(guess, range(12))]
        assert set(late) == {401, 429}
        assert log == [
            *["request without a valid API key"] * WRONG_KEYS_PER_MINUTE,
            "request without a valid API key: too many, not logged for the next minute",
        ]
        assert place(app.test_client(), "1", {"X-API-Key": KEY}).status_code == 202

    def test_behind_a_load_balancer_each_caller_is_known_by_its_own_address(
        self, start_app: StartApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = start_app(API_KEYS=f"first:{KEY}", TRUSTED_PROXIES="1").test_client()
        client.get(LIST, headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.7"})
        assert [record.address for record in caplog.records if hasattr(record, "address")] == ["203.0.113.7"]

    def test_the_log_repeats_nothing_that_a_caller_without_a_key_wrote(
        self, start_app: StartApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = start_app(API_KEYS=f"first:{KEY}", TRUSTED_PROXIES="1").test_client()
        client.get(f"{URL}/jane@example.com", headers={"X-Forwarded-For": "6" * 8000})
        told = [(record.route, record.address) for record in caplog.records if hasattr(record, "address")]
        assert told == [(f"{URL}/<order_id:order_id>", "6" * 64)]

    def test_each_shop_has_its_rate(self, start_app: StartApp, log: list[str]) -> None:
        client = start_app(API_KEYS=f"first:{KEY},other:{OTHER_KEY}", API_RATE_LIMIT="3/1m").test_client()
        statuses = [client.get(LIST, headers={"X-API-Key": KEY}).status_code for _ in range(5)]
        assert statuses == [200] * 3 + [429] * 2
        assert log == ["a shop exceeds API_RATE_LIMIT"]
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

    def test_their_origin_alone_tells_them(self, client: FlaskClient) -> None:
        """Not every browser names the site to an address of the local network."""
        place(client, "1")
        for origin in ("https://evil.example", "http://localhost:9", "null", "http://["):
            answer = client.post(f"{URL}/1/cancel", headers={"Origin": origin})
            assert (answer.status_code, problem_of(answer)) == (403, "cross-site")
        assert client.post(f"{URL}/2/cancel", headers={"Origin": "http://localhost"}).status_code == 404

    def test_a_browser_that_names_nothing_sends_no_order_without_a_preflight(self, client: FlaskClient) -> None:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
            assert client.post(URL, data="{}", content_type=content_type).status_code == 415

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


class TestHosts:
    """Without keys: a page may let its own name lead to this machine, and is then "the same origin" to its browser."""

    def test_the_inbox_answers_no_other_host_even_with_keys(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=f"shop:{KEY}").test_client()
        assert client.get("/inbox").status_code == 200
        assert client.get("/inbox", headers={"Host": "evil.example"}).status_code == 421
        assert client.get(LIST, headers={"Host": "evil.example", "X-API-Key": KEY}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("127.0.0.1", "127.0.0.1:8000", "192.168.1.7:80", "[::1]", "[::1]:8000", "[fe80::1]:8000"),
            *("localhost", "LocalHost:8000", "shop.localhost:8000", "orders", "order_confirm-1:8000"),
        ],
    )
    def test_a_host_that_no_outsider_can_own_is_answered(self, client: FlaskClient, host: str) -> None:
        for path in ("/health", LIST):
            assert client.get(path, headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example."),
            *("localhost.", "notlocalhost.com", ".localhost", "127.1", "[evil.example]", "[::1", "::1", "", ":8000"),
            *("localhost:x", "localhost:8000:1", "localhost,evil.example", "a@localhost", "local host", "localhost/x"),
        ],
    )
    def test_any_other_is_not_whatever_it_asks_for(self, start_app: StartApp, host: str) -> None:
        client = start_app().test_client()
        paths = ("/", "/inbox", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/static/style.css", LIST)
        for path in (*paths, "/demo/orders/1", "/nowhere"):
            answer = client.get(path, headers={"Host": host})
            assert (answer.status_code, problem_of(answer)) == (421, "misdirected-request"), path
        for method in ("POST", "DELETE", "OPTIONS", "PUT"):
            answer = client.open(f"{URL}/1", method=method, headers={"Host": host})
            assert answer.status_code == 421, method

    def test_the_one_that_the_service_listens_on_is_answered(self, start_app: StartApp) -> None:
        client = start_app(HOST="orders.Internal.example").test_client()
        for host in ("orders.internal.example", "Orders.internal.example:8000", "localhost"):
            assert client.get(LIST, headers={"Host": host}).status_code == 200
        assert client.get(LIST, headers={"Host": "internal.example"}).status_code == 421

    def test_a_proxy_changes_nothing(self, start_app: StartApp) -> None:
        client = start_app(TRUSTED_PROXIES="1").test_client()
        headers = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
        assert client.get(LIST, headers=headers).status_code == 421

    def test_an_origin_that_is_named_gets_the_reason(self, start_app: StartApp) -> None:
        client = start_app(CORS_ORIGINS="https://shop.example").test_client()
        answer = client.get(LIST, headers={"Host": "evil.example", "Origin": "https://shop.example"})
        assert answer.status_code == 421
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"

    def test_with_keys_every_host_is_answered(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=f"first:{KEY}").test_client()
        for host in ("orders.shop.example", ""):
            assert client.get(LIST, headers={"Host": host, "X-API-Key": KEY}).status_code == 200


class TestSchemas:
    """A field is in its schema and in the function that builds it, or in neither."""

    @pytest.fixture
    def entry(self) -> OutboxEntry:
        now = datetime.now(UTC)
        history = HistoryEntry(now, 0, Event.SENT, State.SENT, "end_of_data", 250, "ok", 0.1)
        event = DeliveryEvent("1", 0, "delivery", now, 250, "ok")
        return OutboxEntry(
            *(1, "default", "1", 0, "<1@shop.example>", "ann@example.com", State.SENT, now, now, now, 1, 0, None),
            history=(history,),
            deliveries=(event,),
        )

    def test_a_summary_has_the_fields_of_its_schema(self, entry: OutboxEntry) -> None:
        body = summary(entry, "/link")
        assert list(body) == list(SummarySchema().fields)
        assert list(body["links"]) == list(LinksSchema().fields)

    def test_a_detailed_mail_has_the_fields_of_its_schema(self, entry: OutboxEntry) -> None:
        callback = Callback(
            *("default", "1", 0, "evt_1", "sent", entry.accepted_at, CallbackState.DELIVERED, 1),
            *(entry.accepted_at, None, 200, None),
        )
        body = detail(replace(entry, earlier=(entry,)), None, [callback], "/link")
        assert list(body) == list(MailSchema().fields)
        assert list(body["history"][0]) == list(HistorySchema().fields)
        assert list(body["deliveries"][0]) == list(DeliveryEventSchema().fields)
        assert list(body["callbacks"][0]) == list(CallbackSchema().fields)
        assert list(body["earlier_mails"][0]) == list(SummarySchema().fields)

    def test_a_placed_order_has_the_fields_of_its_schema(self, client: FlaskClient) -> None:
        assert set(place(client, "1").get_json()) == set(PlacedSchema().fields)

    def test_a_preview_has_the_fields_of_its_schema(self, client: FlaskClient) -> None:
        body = client.post(f"{URL}/preview", json=make_body()).get_json()
        assert set(body) == set(PreviewSchema().fields)


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

    def test_an_answer_that_nobody_can_read_is_not_sent(self, client: FlaskClient) -> None:
        for accept in ("text/html", "application/json;q=0, */*;q=0.1", "text/html, application/xml"):
            answer = client.get(LIST, headers={"Accept": accept})
            assert (answer.status_code, problem_of(answer)) == (406, "not-acceptable")
        taken = ("*/*", "application/json", "application/json; charset=utf-8", "application/problem+json", "")
        too_long_to_be_read = "text/html, " * 100
        for accept in (*taken, "application/problem+json, application/*", too_long_to_be_read):
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
        headers = client.get(LIST, headers={"Origin": "https://shop.example"}).headers
        assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert headers["Access-Control-Expose-Headers"] == "Preference-Applied, Retry-After, X-Request-ID"
        assert "Access-Control-Allow-Origin" not in client.get(LIST, headers={"Origin": "https://e.example"}).headers

    def test_its_browser_may_ask_before_it_sends_a_key(self, start_app: StartApp) -> None:
        client = start_app(CORS_ORIGINS="https://shop.example", API_KEYS=f"first:{KEY}").test_client()
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-api-key"}
        answer = client.options(URL, headers={"Origin": "https://shop.example", **asked})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-api-key"
        assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, POST"


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
            path = path.split('"')[0]
            with client.get(path, headers={"Range": "bytes=9999999999-"}) as asset:
                assert asset.status_code == 200
            with client.get(path, headers={"If-None-Match": asset.headers["ETag"]}) as again:
                assert again.status_code == 304
