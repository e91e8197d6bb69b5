"""An outbox after a busy hour, served over HTTP, for pictures of its pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from conftest import relay_variables
from factories import make_body
from flask.testing import FlaskClient
from processes import wait_until
from smtp_server import smtp_server
from werkzeug.serving import WSGIRequestHandler, make_server

from orderconfirm import create_app
from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.runtime import Runtime
from orderconfirm.settings import Settings

NAMES = ("Ada Berg", "Ben Cole", "Clara Moe", "Dan Ruud", "Eva Lund", "Finn Aas", "Gina Holt", "Henry Fox", "Ida Vik")
#: The mails of each minute, the newest first.
PER_MINUTE = [1, 2, 3, 2, 4, 3, 5, 4, 6, 5, 4, 6, 3, 4, 2, 3, 1, 2, 2, 0, 1, 2, 1, 3, 2, 4, 3, 2, 1, 1] * 2
#: The mails, by their number, that the relay refuses, and one that bounces later.
REFUSED = {2: "clara2@example.com", 12: "dan12@example.com"}
REFUSAL = "550 5.1.1 Recipient address rejected: user unknown in virtual mailbox table"
BOUNCED = 9
#: The order whose page is in a picture: a refused one.
ORDER = "FF-4898"


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def sample_outbox(folder: Path) -> Iterator[str]:
    """Run the service and yield its address."""
    with smtp_server() as (sink, relay_port):
        sink.refused.update(dict.fromkeys(REFUSED.values(), REFUSAL))
        own = {"DATABASE_URL": f"sqlite:///{folder}/outbox.db", "COMPANY_NAME": "Fjord & Field"}
        app = create_app(Settings.from_env(relay_variables(relay_port, **own)))
        runtime: Runtime = app.extensions["orderconfirm"]
        runtime.start()
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            _fill(app.test_client(), runtime)
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            runtime.stop()


def _fill(client: FlaskClient, runtime: Runtime) -> None:
    """Send an hour's mails, report what became of them, and date them back."""
    minutes = [minute for minute, count in enumerate(PER_MINUTE) for _ in range(count)]
    for number in range(len(minutes)):
        _place(client, number)
    wait_until(lambda: not client.get("/ready").get_json()["mails"].keys() & {"queued", "sending"}, 60)
    for number in range(4, 60):
        if number not in REFUSED:
            _report(runtime, number)
    for number, minute in enumerate(minutes):
        _date_back(runtime, number, minute * 60 + number % 7 * 8)
    _place(client, -1, BOUNCED)  # to the address that bounced


def _id_of(number: int) -> str:
    return f"FF-{4900 - number}"


def _place(client: FlaskClient, number: int, customer: int | None = None) -> None:
    customer = number if customer is None else customer
    name = NAMES[customer % len(NAMES)]
    body = make_body(
        order_id=_id_of(number),
        customer={
            "name": name,
            "email": f"{name.split()[0].lower()}{customer}@example.com",
            "address": "Strandgaten 12, 5013 Bergen",
            "phone": "+47 55 12 34 56",
        },
        order_date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    assert client.post("/api/order-confirmation", json=body).status_code == 202


def _report(runtime: Runtime, number: int) -> None:
    order_id = _id_of(number)
    is_bounce = number == BOUNCED
    delivery = Delivery.BOUNCED if is_bounce else Delivery.DELIVERED
    text = "550 5.7.1 mailbox disabled" if is_bounce else "250 2.0.0 OK"
    ids = {"shop": "default", "order_id": order_id, "message_id": None, "mail_id": None, "address": None, "raw": "{}"}
    event = RelayEvent(order_id, delivery.value, datetime.now(UTC), int(text[:3]), text, delivery, **ids)
    runtime.confirmations.record_events([event])


def _date_back(runtime: Runtime, number: int, seconds: int) -> None:
    mail = f"(SELECT id FROM outbox WHERE order_id = '{_id_of(number)}')"
    changes = (
        f"UPDATE outbox SET accepted_at = accepted_at - {seconds} WHERE id = {mail}",
        f"UPDATE outbox SET changed_at = changed_at - {seconds} WHERE id = {mail}",
        f"UPDATE history SET at = at - {seconds} WHERE mail_id = {mail}",
        f"UPDATE delivery_events SET at = at - {seconds} WHERE mail_id = {mail}",
    )
    for sql in changes:
        runtime.database.write(lambda connection, sql=sql: connection.exec_driver_sql(sql).close())
