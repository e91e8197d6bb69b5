"""The outbox's pages: what they show, how they find an order, and what their buttons do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from callers import place
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient
from outboxes import claim, settle
from werkzeug.test import TestResponse

from orderconfirm import create_app
from orderconfirm.models import Delivery, Event, RelayEvent, State
from orderconfirm.outbox.breaker import Pause
from orderconfirm.outbox.leases import AttemptResult
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.senders import Senders
from orderconfirm.settings import Settings

HOSTILE = "<script>alert(1)</script>\"'&"
REFUSED = f"550 5.1.1 no such user {HOSTILE}"
_numbers = count(4700)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A service without API keys that sends nothing by itself, so that the tests decide what becomes of each mail."""
    folder = tmp_path_factory.mktemp("outbox")
    app = create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{folder}/outbox.db", "SENDER": "off"}))
    runtime = app.extensions["orderconfirm"]
    runtime.start()
    runtime.database.process_locks.claim(lambda: None)
    yield app
    runtime.database.process_locks.release()
    runtime.stop()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def queued(client: FlaskClient, order_id: str = "", **changes: Any) -> str:
    """Place an order and return its id."""
    number = next(_numbers)
    order_id = order_id or f"N-{number}"
    changes = {"customer": {"name": "John Doe", "email": f"john{number}@example.com"}, **changes}
    assert place(client, order_id, **changes).status_code == 202
    return order_id


def settled(client: FlaskClient, state: State, event: Event, text: str = "", order_id: str = "", **changes: Any) -> str:
    """Place an order and let its attempt end like this. Returns its id."""
    order_id = queued(client, order_id, **changes)
    queue = client.application.extensions["orderconfirm"]._queue
    for mail in claim(queue, 100, 60):
        result = AttemptResult("rcpt", 550, text, 0.25) if text else AttemptResult()
        is_ours = mail.order_id == order_id
        outcome = Outcome(state, event, f"rcpt: {text}" if text else None)
        assert settle(queue, mail, outcome if is_ours else Outcome(State.QUEUED, Event.RELEASED), result)
    return order_id


def failed(client: FlaskClient, text: str = REFUSED, **changes: Any) -> str:
    return settled(client, State.FAILED, Event.FAILED, text, **changes)


def sent(client: FlaskClient, **changes: Any) -> str:
    return settled(client, State.SENT, Event.SENT, **changes)


def url_of(order_id: str) -> str:
    return f"/outbox/default/{quote(order_id, safe='')}"


def read(client: FlaskClient, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.get_data(as_text=True)


def listed(page: str) -> list[str]:
    """The ids of the orders in a list."""
    return [unescape(each) for each in re.findall(r'class="order"><a href="[^"]*">([^<]*)</a>', page)]


def post(client: FlaskClient, path: str, headers: dict[str, str] | None = None, **fields: str) -> TestResponse:
    """Send a form of the page with its token."""
    token = re.search('name="csrf_token" value="([^"]+)"', read(client, path.replace("/retry", "?do=retry-all")))
    assert token
    return client.post(path, data={"csrf_token": token[1], **fields}, headers=headers)


def result_of(client: FlaskClient, order_id: str, **fields: str) -> str:
    """Send a form of an order's page, and return the message on the page that follows."""
    response = post(client, url_of(order_id), **fields)
    assert (response.status_code, response.headers["Location"]) == (303, url_of(order_id))
    message = re.search(r'<p class="flash[^>]*>(.*?)</p>', read(client, url_of(order_id)), re.DOTALL)
    assert message
    return unescape(message[1])


def state_of(client: FlaskClient, order_id: str) -> str:
    response = client.get(f"/api/order-confirmation/{quote(order_id, safe='')}")
    return str(response.get_json()["state"]) if response.status_code == 200 else str(response.status_code)


def report(client: FlaskClient, order_id: str, delivery: Delivery, text: str) -> None:
    """Record a delivery event of the relay about an order's mail."""
    event = RelayEvent(
        event_id=f"{order_id}-{delivery}",
        event=delivery.value,
        at=datetime.now(UTC),
        code=550,
        text=text,
        delivery=delivery,
        shop="default",
        order_id=order_id,
        message_id=None,
        mail_id=None,
        address=None,
        raw="{}",
    )
    assert client.application.extensions["orderconfirm"].confirmations.record_events([event]) == 1


class TestList:
    def test_it_shows_each_order_with_its_state_address_and_reason(self, client: FlaskClient) -> None:
        order_id = failed(client, "550 5.1.1 unknown user", customer={"name": "Ann", "email": "ann.list@example.com"})
        page = read(client, "/outbox")
        [row] = re.findall(rf'<tr role="row" data-key="\d+">(?:(?!</tr>).)*>{order_id}</a>.*?</tr>', page, re.DOTALL)
        assert all(text in row for text in (">failed</span>", "ann.list@example.com", "rcpt: 550 5.1.1 unknown user"))

    def test_an_order_is_found_by_its_number_and_its_address(self, client: FlaskClient) -> None:
        customer = {"name": "Ann", "email": "Ann.Found@example.com"}
        order_id = queued(client, customer=customer)
        assert listed(read(client, f"/outbox?q={order_id}")) == [order_id]
        assert listed(read(client, "/outbox?q=ann.found@EXAMPLE.com")) == [order_id]
        assert "No such mail" in read(client, "/outbox?q=unknown")

    def test_a_list_is_narrowed_by_state_delivery_and_time(self, client: FlaskClient) -> None:
        bounced, delivered, waiting = sent(client), sent(client), queued(client)
        report(client, bounced, Delivery.BOUNCED, "550 gone")
        report(client, delivered, Delivery.DELIVERED, "250 ok")
        assert bounced in listed(read(client, "/outbox?delivery=bounced"))
        assert {delivered, waiting}.isdisjoint(listed(read(client, "/outbox?delivery=bounced")))
        assert waiting in listed(read(client, "/outbox?state=queued"))
        assert {bounced, delivered}.isdisjoint(listed(read(client, "/outbox?state=queued")))
        hour = timedelta(hours=1)
        before, after = (f"{datetime.now(UTC) + each:%Y-%m-%dT%H:%M}" for each in (-hour, hour))
        assert waiting in listed(read(client, f"/outbox?since={before}&until={after}"))
        assert listed(read(client, f"/outbox?until={before}")) == []
        assert listed(read(client, f"/outbox?since={after}")) == []

    @pytest.mark.parametrize("query", ["state=lost", "delivery=lost", "since=yesterday", "q=@", "cursor=x"])
    def test_a_search_that_makes_no_sense_says_what_is_wrong(self, client: FlaskClient, query: str) -> None:
        response = client.get(f"/outbox?{query}")
        assert response.status_code == 422
        assert re.search(r'<p class="error" role="alert">.+</p>', response.get_data(as_text=True))

    def test_a_long_list_has_pages_and_each_order_is_on_one_of_them(self, client: FlaskClient) -> None:
        customer = {"name": "Ann", "email": "ann.pages@example.com"}
        placed = [queued(client, customer=customer) for _ in range(53)]
        found = []
        path: str | None = "/outbox?q=ann.pages@example.com"
        while path:
            page = read(client, path)
            found += listed(page)
            older = re.search(r'<a href="([^"]+)">Older</a>', page)
            path = unescape(older[1]) if older else None
        assert found == placed[::-1]

    def test_all_mails_of_a_state_are_retried_at_once_or_in_batches(self, client: FlaskClient) -> None:
        orders = [failed(client) for _ in range(2)]
        assert re.search(r"Retry all failed \(\d+\)…", read(client, "/outbox?state=failed"))
        response = post(client, "/outbox/retry", state="failed")
        assert response.status_code == 303
        assert re.search(r"\d+ mails are due now\.", read(client, "/outbox"))
        assert [state_of(client, each) for each in orders] == ["queued", "queued"]
        order_id = failed(client)
        batch = post(client, "/outbox/retry", {"Accept": "application/json"}, state="failed").get_json()
        assert batch == {"count": 1, "after": None}
        assert state_of(client, order_id) == "queued"

    @pytest.mark.parametrize("after", ["99999999999999999999 default", f"{'9' * 5000} default", "²"])
    def test_an_impossible_place_in_the_list_begins_it_again(self, client: FlaskClient, after: str) -> None:
        failed(client)
        response = post(client, "/outbox/retry", {"Accept": "application/json"}, state="failed", after=after)
        assert (response.status_code, response.get_json()["count"] >= 1) == (200, True)

    def test_the_batches_lead_through_all_shops(self, client: FlaskClient) -> None:
        confirmations = client.application.extensions["orderconfirm"].confirmations
        if "Retry all failed" in read(client, "/outbox"):
            post(client, "/outbox/retry", state="failed")  # those of other tests
        for shop in ("another", "yet another"):
            confirmations.place(shop, make_body(order_id=f"B-{shop}"))
        queued(client, "B-default")
        database = client.application.extensions["orderconfirm"].database
        fail = "UPDATE outbox SET state = 'failed' WHERE order_id LIKE 'B-%'"
        database.write(lambda connection: connection.exec_driver_sql(fail).close())
        counts, after = [], ""
        while after is not None:
            fields = {"state": "failed", "after": after}
            batch = post(client, "/outbox/retry", {"Accept": "application/json"}, **fields).get_json()
            counts.append(batch["count"])
            after = batch["after"]
        assert counts == [1, 1, 1]
        assert state_of(client, "B-default") == "queued"

    @pytest.mark.parametrize("fields", [{"state": "sent"}, {"state": ""}])
    def test_what_cannot_be_retried_is_refused(self, client: FlaskClient, fields: dict[str, str]) -> None:
        failed(client)
        assert post(client, "/outbox/retry", {"Accept": "application/json"}, **fields).status_code == 400


class TestOrder:
    def test_its_timeline_has_attempts_reports_and_requests_in_order(self, client: FlaskClient) -> None:
        order_id = failed(client, "550 5.1.1 unknown user")
        result_of(client, order_id, do="resend", email="new@example.com", reason="a typing error")
        page = read(client, url_of(order_id))
        steps = re.findall(
            r"<strong>(.*?)</strong>.*?(?:<q>(.*?)</q>)?</div>",
            page.partition('id="timeline"')[2].partition("</ol>")[0],
            re.DOTALL,
        )
        assert [(title.split(":")[0], reply) for title, reply in steps] == [
            ("Accepted", ""),
            ("Failed", "rcpt 550 5.1.1 unknown user"),
            ("Cancelled, because another mail takes its place", "a typing error"),
            ("Sent again on request, as a new mail", "a typing error"),
        ]
        assert "new@example.com" in page

    def test_a_failed_mail_has_advice_instead_of_an_emphasised_retry(self, client: FlaskClient) -> None:
        page = read(client, url_of(failed(client, "550 5.1.1 unknown user")))
        assert "send the mail again to another one" in page
        assert re.search(r'<button class="quiet" name="do" value="retry"', page)

    def test_it_shows_the_order_and_its_mail_as_it_would_be_sent_now(self, client: FlaskClient) -> None:
        order_id = sent(client)
        page = read(client, url_of(order_id))
        assert "As it would be sent now" in page
        assert all(text in page for text in ("John Doe", "Wireless Headphones", "119.97 USD", "Message-ID"))
        frame = client.get(f"{url_of(order_id)}?part=html")
        assert "Wireless Headphones" in frame.get_data(as_text=True)
        assert frame.headers["Content-Security-Policy"].startswith("sandbox ")

    def test_an_update_leaves_the_mail_out(self, client: FlaskClient) -> None:
        assert "As it would be sent now" not in read(client, f"{url_of(sent(client))}?part=live")

    @pytest.mark.parametrize("order_id", ["a/b/c", "a?b#c", "ü %2F&", "a+b;c", HOSTILE])
    def test_every_order_number_has_a_page_with_working_forms(self, client: FlaskClient, order_id: str) -> None:
        queued(client, order_id)
        link = re.search(r'class="order"><a href="([^"]*)">', read(client, f"/outbox?q={quote(order_id, safe='')}"))
        assert link and unescape(link[1]).startswith("/outbox/default/")
        response = post(client, unescape(link[1]), do="cancel")
        assert response.status_code == 303
        assert "The mail is cancelled" in read(client, response.headers["Location"])
        assert state_of(client, order_id) == "cancelled"

    def test_no_text_of_a_shop_or_a_relay_becomes_markup(self, client: FlaskClient) -> None:
        customer = {"name": HOSTILE, "email": "hostile@example.com", "address": HOSTILE, "phone": HOSTILE}
        items = [{"name": HOSTILE, "variant": HOSTILE, "quantity": 1, "price": "119.97"}]
        order_id = failed(client, order_id=f"x{HOSTILE}", customer=customer, items=items, shipping_method=HOSTILE)
        report(client, order_id, Delivery.SOFT_BOUNCED, HOSTILE)
        here = url_of(order_id)
        query = quote(HOSTILE)
        pages = [read(client, path) for path in ("/outbox", here, f"{here}?do=resend", f"/outbox?q={query}")]
        fields = {"do": "resend", "email": HOSTILE, "reason": f"\0{HOSTILE}"}
        pages.append(post(client, here, **fields).get_data(as_text=True))
        pages.append(client.get(f"/outbox?state={query}").get_data(as_text=True))
        for page in pages:
            assert "&lt;script&gt;alert(1)" in page or "No such mail" in page
            assert "<script>alert" not in page and f'"{HOSTILE[-3:]}' not in page

    @pytest.mark.parametrize(("do", "title"), [("retry", "Retry this mail?"), ("erase", "Erase this order’s data?")])
    def test_without_a_script_a_button_leads_to_the_same_page_with_its_form(
        self, client: FlaskClient, do: str, title: str
    ) -> None:
        page = read(client, f"{url_of(failed(client))}?do={do}")
        [opened] = re.findall(r"<dialog[^>]* open>(.*?)</dialog>", page, re.DOTALL)
        assert title in opened and f'name="do" value="{do}"' in opened

    def test_a_failed_mail_is_retried(self, client: FlaskClient) -> None:
        order_id = failed(client)
        assert "due now" in result_of(client, order_id, do="retry")
        assert state_of(client, order_id) == "queued"

    def test_a_sent_mail_is_sent_again_to_another_address(self, client: FlaskClient) -> None:
        order_id = sent(client)
        message = result_of(client, order_id, do="resend", email="other@example.com")
        assert message == "A new mail to other@example.com is due now."
        status = client.get(f"/api/order-confirmation/{order_id}").get_json()
        assert (status["state"], status["revision"], status["email"]) == ("queued", 1, "other@example.com")

    def test_a_wrong_address_is_named_at_its_field_and_nothing_is_sent(self, client: FlaskClient) -> None:
        order_id = sent(client)
        response = post(client, url_of(order_id), do="resend", email="nobody", reason="kept")
        page = response.get_data(as_text=True)
        [opened] = re.findall(r"<dialog[^>]* open>(.*?)</dialog>", page, re.DOTALL)
        assert response.status_code == 422
        assert 'value="nobody"' in opened and 'value="kept"' in opened and 'id="email-error"' in opened
        assert state_of(client, order_id) == "sent"

    @pytest.mark.parametrize("steps", [("resend",), ("release", "retry")])
    def test_a_suppressed_address_is_released_and_its_mail_sent(
        self, client: FlaskClient, steps: tuple[str, ...]
    ) -> None:
        customer = {"name": "Ann", "email": f"suppressed.{len(steps)}@example.com"}
        report(client, sent(client, customer=customer), Delivery.BOUNCED, "550 gone")
        held = queued(client, customer=customer)
        assert state_of(client, held) == "held"
        assert result_of(client, held, do="retry").startswith("Nothing was changed: the address is suppressed")
        for step in steps:
            assert "Nothing was changed" not in result_of(client, held, do=step)
        assert state_of(client, held) == "queued"
        assert "not suppressed" in result_of(client, held, do="release")

    def test_erasing_leaves_the_number_and_no_personal_data(self, client: FlaskClient) -> None:
        order_id = sent(client, customer={"name": "Ann Erased", "email": "erased@example.com"})
        assert "personal data is erased" in result_of(client, order_id, do="erase")
        page = read(client, url_of(order_id))
        assert "personal data was erased on request" in page
        assert not any(text in page for text in ("Ann Erased", "erased@example.com", "<dialog", "Headphones"))
        assert client.get(f"{url_of(order_id)}?part=html").status_code == 404

    @pytest.mark.parametrize(
        ("do", "reason"),
        [
            ("retry", "Nothing was changed: the mail is sent."),
            ("cancel", "Nothing was changed: the order's mail is in the state sent."),
        ],
    )
    def test_what_a_state_does_not_allow_has_no_button_and_is_explained(
        self, client: FlaskClient, do: str, reason: str
    ) -> None:
        order_id = sent(client)
        assert f'data-dialog="{do}"' not in read(client, url_of(order_id))
        assert result_of(client, order_id, do=do) == reason

    def test_an_unknown_action_is_refused(self, client: FlaskClient) -> None:
        assert post(client, url_of(sent(client)), do="explode").status_code == 400

    def test_a_damaged_order_still_has_its_state_and_its_timeline(self, client: FlaskClient) -> None:
        order_id = failed(client)
        database = client.application.extensions["orderconfirm"].database
        damage = f"UPDATE outbox SET payload = '{{}}' WHERE order_id = '{order_id}'"
        database.write(lambda connection: connection.exec_driver_sql(damage).close())
        page = read(client, url_of(order_id))
        assert "The mail cannot be shown" in page and "the stored order cannot be read" in page
        assert "Failed" in page


class TestWaiting:
    def test_without_a_sender_a_waiting_mail_and_the_list_say_so(self, client: FlaskClient) -> None:
        assert "<strong>Why it waits:</strong> no process sends mails" in read(client, url_of(queued(client)))
        assert "No process sends mails." in read(client, "/outbox")
        assert "Why it waits" not in read(client, url_of(failed(client)))

    def test_a_paused_relay_is_explained_on_the_list_and_at_a_waiting_mail(self, client: FlaskClient) -> None:
        database = client.application.extensions["orderconfirm"].database
        senders, now = Senders(database, 10), time.monotonic()
        senders.share(0, Pause(f"auth: 535 5.7.8 wrong password {HOSTILE}", now - 90, now + 30), now)
        try:
            order_id = queued(client)
            for path, beginning in (
                ("/outbox", "The relay is paused"),
                (url_of(order_id), "the relay has been paused since"),
            ):
                page = read(client, path)
                assert beginning in page and "535 5.7.8 wrong password &lt;script&gt;" in page
        finally:
            senders.leave()


class TestResponses:
    @pytest.mark.parametrize(
        "path", ["/outbox", "/outbox/default/unknown", "/outbox/default/a%00?part=html", "/outbox?q=%00"]
    )
    def test_every_page_is_html_that_is_neither_stored_nor_framed(self, client: FlaskClient, path: str) -> None:
        response = client.get(path)
        assert response.mimetype == "text/html"
        assert response.headers["Cache-Control"] == "no-store"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy

    def test_while_the_database_cannot_be_used_the_page_says_so(self, tmp_path: Path) -> None:
        client = create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db"})).test_client()
        for path in ("/outbox", "/outbox/default/1"):
            response = client.get(path)
            assert response.status_code == 503
            assert "The outbox cannot be read" in response.get_data(as_text=True)
