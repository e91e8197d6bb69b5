"""A Mailtrap sandbox as the tests see it: the service sends into it, Mailtrap's own client reads from it."""

from __future__ import annotations

import email
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import Any, TypeVar

from mailtrap import APIError, MailtrapClient
from mailtrap.api.resources.messages import MessagesApi
from mailtrap.config import GENERAL_HOST
from mailtrap.http import HttpClient
from mailtrap.models.messages import SpamReport

#: The ids are of no use but to these tests: whoever sets one of them means the real sandbox.
IDS = ("MAILTRAP_ACCOUNT_ID", "MAILTRAP_SANDBOX_ID")
CREDENTIALS = ("MAILTRAP_SANDBOX_USER", "MAILTRAP_SANDBOX_PASSWORD", "MAILTRAP_API_TOKEN")

T = TypeVar("T")


@dataclass(frozen=True)
class Sandbox:
    """`relay` are the variables that send the service's mails into it; the rest is for reading them there."""

    relay: dict[str, str] = field(repr=False)
    api_token: str = field(repr=False)
    account_id: str
    sandbox_id: int
    api_host: str = GENERAL_HOST

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Sandbox:
        """Mailtrap's own. The token stays here: to the service it would name a second relay."""
        missing = [name for name in (*CREDENTIALS, *IDS) if not environ.get(name)]
        assert not missing, f"a real sandbox also needs {', '.join(missing)}"
        relay = {name: environ[name] for name in CREDENTIALS if name != "MAILTRAP_API_TOKEN"}
        account_id, sandbox_id = (environ[name] for name in IDS)
        return cls(relay, environ["MAILTRAP_API_TOKEN"], account_id, int(sandbox_id))


@dataclass(frozen=True)
class Received:
    """One mail as the sandbox shows it: `message` is what it tells of it, `source` the mail as it came."""

    message: dict[str, Any]
    headers: dict[str, str]
    html: str
    text: str
    source: EmailMessage
    spam: SpamReport


class Reader:
    """Finds, reads and deletes mails by the id of their order."""

    def __init__(self, sandbox: Sandbox) -> None:
        # `MailtrapClient.testing_api` is the same, but for a host that cannot be chosen.
        self._http = HttpClient(sandbox.api_host, MailtrapClient(token=sandbox.api_token).headers)
        self._messages = MessagesApi(self._http, sandbox.account_id)
        self._sandbox_id = sandbox.sandbox_id
        self._path = f"/api/accounts/{sandbox.account_id}/inboxes/{sandbox.sandbox_id}/messages"

    def find(self, order_id: str) -> int | None:
        """The id of the order's message. Raises AuthorizationError when the token is wrong."""
        # Not MessagesApi.get_list: its model refuses a blacklist report that is pending, as a new message's is.
        listed = self._http.get(self._path, params={"search": order_id})
        return next((each["id"] for each in listed if order_id in each["subject"]), None)

    def read(self, order_id: str) -> Received:
        """The mail, once it is there, with all that the sandbox says of it."""
        number = patiently(lambda: self.find(order_id))
        which = (self._sandbox_id, number)
        source = patiently(lambda: self._messages.get_raw_message(*which))
        return Received(
            message=patiently(lambda: self._http.get(f"{self._path}/{number}")),
            headers=_normal(patiently(lambda: self._messages.get_mail_headers(*which))),
            html=patiently(lambda: self._messages.get_html_message(*which)),
            text=patiently(lambda: self._messages.get_text_message(*which)),
            source=email.message_from_string(source, policy=policy.default),
            spam=patiently(lambda: self._messages.get_spam_report(*which)),
        )

    def delete(self, order_id: str) -> None:
        """Delete the order's mail, if it is there; returns when it is gone."""
        patiently(lambda: self._is_gone(order_id) or None)

    def _is_gone(self, order_id: str) -> bool:
        """Look, and delete what is found: True when there was nothing left."""
        number = self.find(order_id)
        if number is not None:
            self._http.delete(f"{self._path}/{number}")
        return number is None


def patiently(ask: Callable[[], T | None], seconds: float = 30) -> T:
    """The first answer that is not None. A sandbox is slow: what is not there (404) or asked too often (429) waits."""
    end, pause = time.monotonic() + seconds, 0.1
    while True:
        try:
            if (answer := ask()) is not None:
                return answer
        except APIError as refused:
            if refused.status not in (404, 429):
                raise
        assert time.monotonic() < end, f"the sandbox had no answer in {seconds} s"
        time.sleep(pause)
        pause = min(pause * 2, 3)


def _normal(headers: dict[str, str]) -> dict[str, str]:
    """Names like message-id: how the sandbox writes them (message_id, Message-ID) is not documented."""
    return {name.lower().replace("_", "-"): value for name, value in headers.items()}
