"""Mailtrap's sandbox on this machine: a real SMTP server, and an HTTP API that shows its mails as Mailtrap documents.

It has no spam filter: its report is the example in Mailtrap's documentation.
"""

from __future__ import annotations

import email
import itertools
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from flask import Flask, Response, abort, request
from sandbox import Sandbox
from smtp_server import Sink, smtp_server
from werkzeug.serving import WSGIRequestHandler, make_server

SMTP_USER, SMTP_PASSWORD = "1a2b3c4d5e6f70", "7f6e5d4c3b2a10"
API_TOKEN, ACCOUNT_ID, SANDBOX_ID = "0123456789abcdef", 3229, 4015
SPAM_REPORT = {
    "ResponseCode": 2,
    "ResponseMessage": "Not spam",
    "ResponseVersion": "1.2",
    "Score": 1.2,
    "Spam": False,
    "Threshold": 5,
    "Details": [{"Pts": 0, "RuleName": "HTML_MESSAGE", "Description": "BODY: HTML included in message"}],
}


@dataclass(frozen=True)
class Message:
    """One mail that was taken, with its envelope."""

    number: int
    mail_from: str
    rcpt_tos: list[str]
    client_ip: str
    taken_at: datetime
    content: bytes

    @property
    def parsed(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=policy.default)

    def body(self, subtype: str) -> str:
        part = self.parsed.get_body((subtype,))
        return part.get_content() if part else abort(409)

    def shown(self) -> dict[str, Any]:
        """What the API tells of it, in the list and alone; its blacklist report is never ready."""
        (from_name, from_email), (to_name, to_email) = (parseaddr(self.parsed[name]) for name in ("From", "To"))
        taken_at, path = self.taken_at.isoformat(), f"{messages_path()}/{self.number}"
        return {
            "id": self.number,
            "inbox_id": SANDBOX_ID,
            "subject": self.parsed["Subject"],
            "sent_at": taken_at,
            "from_email": from_email,
            "from_name": from_name,
            "to_email": to_email,
            "to_name": to_name,
            "email_size": len(self.content),
            "is_read": False,
            "created_at": taken_at,
            "updated_at": taken_at,
            "template_id": 0,
            "template_variables": None,
            "html_body_size": len(self.body("html")),
            "text_body_size": len(self.body("plain")),
            "human_size": f"{len(self.content)} Bytes",
            "html_path": f"{path}/body.html",
            "txt_path": f"{path}/body.txt",
            "raw_path": f"{path}/body.raw",
            "download_path": f"{path}/body.eml",
            "html_source_path": f"{path}/body.htmlsource",
            "blacklists_report_info": {"result": "pending"},
            "smtp_information": {
                "ok": True,
                "data": {
                    "mail_from_addr": self.mail_from,
                    "client_ip": self.client_ip,
                    "rcpt_to_addrs": self.rcpt_tos,
                },
            },
        }


class SandboxSink(Sink):
    """Takes mails as the sandbox does, in its words. Each has its message until that is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.password = SMTP_USER, SMTP_PASSWORD
        self.messages: dict[int, Message] = {}
        self._numbers = itertools.count(427)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        greeting, *rest = await super().handle_EHLO(server, session, envelope, hostname, responses)
        return [greeting, "250-PIPELINING", "250-ENHANCEDSTATUSCODES", *rest]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = await super().handle_DATA(server, session, envelope)
        if reply.startswith("250"):
            number, content = next(self._numbers), cast(bytes, envelope.original_content)
            self.messages[number] = Message(
                number, str(envelope.mail_from), envelope.rcpt_tos, session.peer[0], datetime.now(UTC), content
            )
        return reply

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        result = super().authenticate(server, session, envelope, mechanism, data)
        if not result.success:
            result.message = "535 5.7.0 Invalid credentials"
        return result


def messages_path() -> str:
    """Of the two paths that Mailtrap has for messages, the older, which its Python client calls."""
    return f"/api/accounts/{ACCOUNT_ID}/inboxes/{SANDBOX_ID}/messages"


def make_api(messages: dict[int, Message]) -> Flask:
    """The API on these messages. The first request with the right token comes too early, and is answered with 429."""
    api = Flask(__name__)
    one = f"{messages_path()}/<int:number>"
    requests = itertools.count()

    def message(number: int) -> Message:
        return messages.get(number) or abort(404)

    @api.before_request
    def authenticate() -> tuple[dict[str, str], int] | None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.headers.get("Api-Token", bearer) != API_TOKEN:
            return {"error": "Incorrect API token"}, 401
        return ({"error": "Too many requests"}, 429) if next(requests) == 0 else None

    @api.errorhandler(404)
    def not_found(error: Exception) -> tuple[dict[str, str], int]:
        return {"error": "Not Found"}, 404

    @api.get(messages_path())
    def get_list() -> list[dict[str, Any]]:
        wanted = request.args.get("search", "")
        newest_first = (each.shown() for each in reversed(messages.values()))
        return [
            each for each in newest_first if any(wanted in each[name] for name in ("subject", "to_email", "to_name"))
        ][:30]

    @api.get(one)
    def show(number: int) -> dict[str, Any]:
        return message(number).shown()

    @api.delete(one)
    def delete(number: int) -> dict[str, Any]:
        deleted = message(number).shown()
        del messages[number]
        return deleted

    @api.get(f"{one}/body.html")
    def html(number: int) -> str:
        return message(number).body("html")

    @api.get(f"{one}/body.txt")
    def text(number: int) -> Response:
        return Response(message(number).body("plain"), mimetype="text/plain")

    @api.get(f"{one}/body.raw")
    def raw(number: int) -> Response:
        return Response(message(number).content, mimetype="text/plain")

    @api.get(f"{one}/mail_headers")
    def mail_headers(number: int) -> dict[str, Any]:
        return {
            "headers": {name.lower().replace("-", "_"): str(value) for name, value in message(number).parsed.items()}
        }

    @api.get(f"{one}/spam_report")
    def spam_report(number: int) -> dict[str, Any]:
        message(number)
        return {"report": SPAM_REPORT}

    return api


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def _served(api: Flask, tls: ssl.SSLContext) -> Iterator[int]:
    """The API over TLS: its port."""
    server = make_server("127.0.0.1", 0, api, request_handler=_Silent, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, name="sandbox API")
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def stand_in(tls: ssl.SSLContext, ca_file: str) -> Iterator[tuple[Sandbox, SandboxSink]]:
    """A running sandbox, and the sink of its SMTP server. Mailtrap's client trusts `ca_file` meanwhile."""
    sink = SandboxSink()
    with (
        smtp_server(tls, sink=sink) as (_, smtp_port),
        _served(make_api(sink.messages), tls) as api_port,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("REQUESTS_CA_BUNDLE", ca_file)
        relay = {
            "MAIL_SERVER": "localhost",
            "MAILTRAP_HEADERS": "true",
            "MAIL_PORT": str(smtp_port),
            "MAIL_USERNAME": SMTP_USER,
            "MAIL_PASSWORD": SMTP_PASSWORD,
            "MAIL_CA_FILE": ca_file,
        }
        yield Sandbox(relay, API_TOKEN, str(ACCOUNT_ID), SANDBOX_ID, f"127.0.0.1:{api_port}"), sink
