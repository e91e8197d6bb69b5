"""Every kind of failure that the service answers with. A kind's type never changes: callers decide by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from orderconfirm.errors import FieldError

MIMETYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A problem type (RFC 9457). `detail` and `faults` are those of its documented example.

    `retry_after` is in seconds; None when the time is not fixed, or trying again is of no use.
    """

    name: str
    status: int
    title: str
    meaning: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None

    @property
    def type(self) -> str:
        """A URI; a kind without a name says no more than its status does."""
        return f"urn:orderconfirm:problem:{self.name}" if self.name else "about:blank"

    @property
    def example(self) -> dict[str, Any]:
        """An answer of this kind, whole."""
        body: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return {**body, "errors": [asdict(fault) for fault in self.errors]} if self.errors else body


BAD_REQUEST = ProblemType(
    *("bad-request", 400, "Bad Request"),
    "The request cannot be read: `detail` says what to change.",
    "The body is not JSON: Expecting value at line 1, column 1.",
)
UNAUTHORIZED = ProblemType(
    *("unauthorized", 401, "Unauthorized"),
    "The API key is missing or wrong.",
    "Send your API key, as Authorization: Bearer <key> or as X-API-Key.",
)
CROSS_SITE = ProblemType(
    *("cross-site", 403, "Forbidden to other sites"),
    "Without API keys: the page of an origin that `CORS_ORIGINS` does not name had its reader's browser send this.",
    "Another site's page sent this. CORS_ORIGINS names the origins that may.",
)
CSRF_TOKEN = ProblemType(
    *("csrf-token", 403, "The page is out of date"),
    "Of the demo page alone, which only development has: its token is missing, or older than the service.",
    "The page's token is missing, or older than the service, and nothing was done. Reload the page.",
)
BAD_SIGNATURE = ProblemType(
    *("bad-signature", 401, "The signature is wrong"),
    "`Mailtrap-Signature` does not fit the body.",
    "Mailtrap-Signature does not fit the body: check the signing secret.",
)
NOT_FOUND = ProblemType(
    *("not-found", 404, "Not Found"),
    "There is no such order, or no such address.",
    "No order ORD-12345 was accepted.",
)
METHOD_NOT_ALLOWED = ProblemType(
    *("method-not-allowed", 405, "Method Not Allowed"),
    "`Allow` names the methods that there are.",
    "The method is not allowed for the requested URL.",
)
NOT_ACCEPTABLE = ProblemType(
    *("not-acceptable", 406, "Not Acceptable"),
    "The answer is JSON, and `Accept` excludes it.",
    "The answer is JSON: accept application/json.",
)
REQUEST_TIMEOUT = ProblemType(
    *("request-timeout", 408, "Request Timeout"),
    "The body did not come in whole: it was too slow, or shorter than `Content-Length` says.",
    "The body did not come in whole. Send the request again; nothing was stored.",
)
ORDER_CONFLICT = ProblemType(
    *("order-conflict", 409, "Another order has this id"),
    "`errors` name what differs from the accepted order, which stays as it is; none, once its content is deleted.",
    "The order id ORD-12345 was accepted before with other content; that order stays as it is.",
    (FieldError("/total", "differs from the accepted order"),),
)
KEY_CONFLICT = ProblemType(
    *("idempotency-conflict", 409, "Another request came with this key"),
    "The `Idempotency-Key` belongs to another request.",
    "The idempotency key 9f1c was already used for another request, about order ORD-12345.",
)
WRONG_STATE = ProblemType(
    *("wrong-state", 409, "The mail is where this cannot be done"),
    "`detail` says where it is.",
    "Its mail is sent.",
)
CONTENT_DELETED = ProblemType(
    *("content-deleted", 410, "The order's content is deleted"),
    "It was erased, or, for a resend, its retention is over: there is nothing left to show or to send.",
    "Order ORD-12345 was erased.",
)
TOO_LARGE = ProblemType(
    *("content-too-large", 413, "Content Too Large"),
    "The body is larger than 1 MiB, that of a webhook than 4 MiB.",
    "The body has more than 1 MiB, and was not read.",
)
URI_TOO_LONG = ProblemType(
    *("uri-too-long", 414, "URI Too Long"),
    "The request line has more than 8,190 bytes.",
    "The request line has more than 8,190 bytes: shorten the query.",
)
UNSUPPORTED = ProblemType(
    *("unsupported-media-type", 415, "Unsupported Media Type"),
    "The body is not said to be JSON, or it is compressed.",
    "Send the body as JSON, with the header Content-Type: application/json.",
)
MISDIRECTED = ProblemType(
    *("misdirected-request", 421, "Misdirected Request"),
    "Of everything that needs no API key: `Host` is not an IP address, `localhost`, a name without a dot, or `HOST`.",
    "Without an API key the service answers only to an IP address, localhost, a name without a dot, or HOST. "
    "Set API_KEYS to serve orders under another name.",
)
INVALID_ORDER = ProblemType(
    *("invalid-order", 422, "The order is not valid"),
    "`errors` has one entry a fault, each with a JSON pointer. Nothing was stored.",
    "1 fault; nothing was stored.",
    (FieldError("/customer/email", "is missing"),),
)
INVALID_REQUEST = ProblemType(
    *("invalid-request", 422, "The request is not valid"),
    "`errors` has one entry a fault, each with the pointer or the name of what is wrong.",
    "1 fault; nothing was changed.",
    (FieldError("/limit", "must be from 1 to 200"),),
)
HEADERS_TOO_LARGE = ProblemType(
    *("request-header-fields-too-large", 431, "Request Header Fields Too Large"),
    "There are too many headers, or they are too long.",
    "There are more than 100 headers, one of them has more than 8,190 bytes, or all of them more than 64 KiB.",
)
TOO_MANY = ProblemType(
    *("too-many-requests", 429, "Too Many Requests"),
    "Wait for `Retry-After` seconds.",
    "There were too many requests with this key: try again in 60 s.",
)
INTERNAL = ProblemType(
    *("internal-server-error", 500, "Internal Server Error"),
    "A mistake of the service; its log says which, under this answer's `X-Request-ID`.",
    "The service made a mistake; its log says which.",
)
TEMPLATE = ProblemType(
    *("template-error", 500, "A template of the mail fails"),
    "`detail` has its file, line and reason.",
    "order_confirmation.txt, line 2: tuple object has no element 9",
)
NOT_SENT = ProblemType(
    *("not-sent", 502, "The order confirmation could not be sent"),
    "`detail` has the relay's words. The order stays known; resend sends it again.",
    "The order confirmation could not be sent: rcpt: 550 5.1.1 no such user.",
)
UNAVAILABLE = ProblemType(
    *("outbox-unavailable", 503, "The outbox is unavailable"),
    "Nothing was stored or changed: send the request again later.",
    "The outbox does not answer, and nothing was stored or changed. Send the same request again later.",
    retry_after=10,
)
UNCONFIRMED = ProblemType(
    *("write-unconfirmed", 503, "The write is not confirmed"),
    "The database did not confirm the commit, so the request may or may not have taken effect. Sending the same order "
    "again is safe, and so is a resend with the same `Idempotency-Key`.",
    "The database did not confirm the commit, so this may or may not be stored. Send the same order again: it is "
    "stored once. Before you repeat a resend without an Idempotency-Key, look at the order's state.",
    retry_after=10,
)
FULL = ProblemType(
    *("outbox-full", 503, "The outbox is full"),
    "Too many mails wait, and nothing was stored: send the order again later.",
    "Too many mails wait already, so the order was not stored. Send it again later, under the same order_id.",
    retry_after=60,
)

#: What any operation may answer with.
ALWAYS = (
    *(UNAUTHORIZED, CROSS_SITE, NOT_ACCEPTABLE, URI_TOO_LONG, MISDIRECTED),
    *(TOO_MANY, HEADERS_TOO_LARGE, INTERNAL),
)
#: What an operation that takes JSON may answer with besides.
BODY = (BAD_REQUEST, REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED)
#: All of the above, in their order: none can be forgotten.
EVERY = tuple(value for value in list(globals().values()) if isinstance(value, ProblemType))
