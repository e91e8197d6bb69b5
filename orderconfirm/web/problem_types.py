"""The problem types of the API. A type never changes, because clients branch on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from orderconfirm.errors import FieldError
from orderconfirm.limits import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_REQUEST_LINE_BYTES,
    MAX_WEBHOOK_BODY_BYTES,
)

MIMETYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A problem type (RFC 9457). `detail` and `errors` are those of its documented example.

    `retry_after` is in seconds; None when the time varies or a retry is useless. With `has_challenge`, the response has
    `WWW-Authenticate`.
    """

    name: str
    status: int
    title: str
    meaning: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None
    has_challenge: bool = False

    @property
    def type(self) -> str:
        """The type's URI; `about:blank` for a type without a name, which means no more than its status."""
        return f"urn:orderconfirm:problem:{self.name}" if self.name else "about:blank"

    @property
    def example(self) -> dict[str, Any]:
        """The complete body of a documented example."""
        body: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return {**body, "errors": [asdict(error) for error in self.errors]} if self.errors else body


BAD_REQUEST = ProblemType(
    *("bad-request", 400, "Bad Request"),
    "The request cannot be read: `detail` says what to change.",
    "The body is not JSON: Expecting value at line 1, column 1.",
)
UNAUTHORIZED = ProblemType(
    *("unauthorized", 401, "Unauthorized"),
    "The API key is missing or wrong.",
    "Send your API key as Authorization: Bearer <key> or as X-API-Key: <key>.",
    has_challenge=True,
)
CROSS_SITE = ProblemType(
    *("cross-site", 403, "Cross-site request"),
    "Only without API keys: the request comes from a web page of an origin that is not in `CORS_ORIGINS`.",
    "The request comes from a page of another site. To allow it, add the page's origin to CORS_ORIGINS.",
)
CSRF_TOKEN = ProblemType(
    *("csrf-token", 403, "The page is out of date"),
    "Only on the compose page, in development: the page's token is missing, or older than the service's last start.",
    "The page's token is missing, or older than the service's last start. Nothing was changed. Reload the page.",
)
BAD_SIGNATURE = ProblemType(
    *("bad-signature", 401, "The signature is wrong"),
    "The webhook's signature does not match the body.",
    "The signature does not match the body: check the webhook's signing secret.",
)
NOT_FOUND = ProblemType(
    *("not-found", 404, "Not Found"),
    "There is no such order or URL.",
    "No order ORD-12345 was accepted.",
)
METHOD_NOT_ALLOWED = ProblemType(
    *("method-not-allowed", 405, "Method Not Allowed"),
    "The URL does not allow this method; the `Allow` header lists the allowed ones.",
    "The method is not allowed for the requested URL.",
)
NOT_ACCEPTABLE = ProblemType(
    *("not-acceptable", 406, "Not Acceptable"),
    "Responses are JSON, and `Accept` excludes it.",
    "Responses are JSON: accept application/json.",
)
REQUEST_TIMEOUT = ProblemType(
    *("request-timeout", 408, "Request Timeout"),
    "The body did not arrive completely: it was too slow, or shorter than its `Content-Length`.",
    "The body did not arrive completely, and nothing was stored. Send the request again.",
)
ORDER_CONFLICT = ProblemType(
    *("order-conflict", 409, "Another order has this id"),
    "`errors` lists the fields that differ from the accepted order, which is unchanged. It is empty once that order's "
    "content is deleted.",
    "An order with the id ORD-12345 and different content was accepted before; it is unchanged.",
    (FieldError("/total", "differs from the accepted order"),),
)
KEY_CONFLICT = ProblemType(
    *("idempotency-conflict", 409, "The idempotency key is in use"),
    "The `Idempotency-Key` belongs to another request.",
    "The idempotency key 9f1c was already used for another request, about order ORD-12345.",
)
WRONG_STATE = ProblemType(
    *("wrong-state", 409, "The mail's state does not allow this"),
    "`detail` names the state.",
    "The order's mail is in the state sent.",
)
CONTENT_DELETED = ProblemType(
    *("content-deleted", 410, "The order's content is deleted"),
    "The order was erased or, for a resend, its retention period is over: nothing is left to show or send.",
    "Order ORD-12345 was erased.",
)
TOO_LARGE = ProblemType(
    *("content-too-large", 413, "Content Too Large"),
    f"The body is larger than {MAX_BODY_BYTES >> 20} MiB, or {MAX_WEBHOOK_BODY_BYTES >> 20} MiB for a webhook.",
    f"The body is larger than {MAX_BODY_BYTES >> 20} MiB and was not read.",
)
URI_TOO_LONG = ProblemType(
    *("uri-too-long", 414, "URI Too Long"),
    f"The request line is longer than {MAX_REQUEST_LINE_BYTES:,} bytes.",
    f"The request line is longer than {MAX_REQUEST_LINE_BYTES:,} bytes: shorten the query.",
)
UNSUPPORTED = ProblemType(
    *("unsupported-media-type", 415, "Unsupported Media Type"),
    "`Content-Type` is not JSON, or the body is compressed.",
    "Send the body as JSON, with the header Content-Type: application/json.",
)
MISDIRECTED = ProblemType(
    *("misdirected-request", 421, "Misdirected Request"),
    "Only without API keys, or on the browser pages: the `Host` header is not an IP address, `localhost`, a name "
    "without a dot, or the setting `HOST`.",
    "Without API keys the service accepts only requests for an IP address, localhost, a name without a dot, or HOST. "
    "Set API_KEYS to serve orders under another name.",
)
INVALID_ORDER = ProblemType(
    *("invalid-order", 422, "The order is not valid"),
    "`errors` has one entry per error, with a JSON pointer to the field. Nothing was stored.",
    "1 error; nothing was stored.",
    (FieldError("/customer/email", "is missing"),),
)
INVALID_REQUEST = ProblemType(
    *("invalid-request", 422, "The request is not valid"),
    "`errors` has one entry per error, with a JSON pointer to the field or parameter.",
    "1 error; nothing was changed.",
    (FieldError("/limit", "must be from 1 to 200"),),
)
HEADERS_TOO_LARGE = ProblemType(
    *("request-header-fields-too-large", 431, "Request Header Fields Too Large"),
    "There are too many headers, or they are too long.",
    f"There are more than {MAX_HEADERS} headers, one is longer than {MAX_HEADER_BYTES:,} bytes, or all together are "
    f"larger than {MAX_HEAD_BYTES >> 10} KiB.",
)
TOO_MANY = ProblemType(
    *("too-many-requests", 429, "Too Many Requests"),
    "Wait for `Retry-After` seconds.",
    "There were too many requests with this key: try again in 60 s.",
)
INTERNAL = ProblemType(
    *("internal-server-error", 500, "Internal Server Error"),
    "An error in the service. Its log has the cause, with this response's `X-Request-ID`.",
    "The service failed; its log has the cause.",
)
TEMPLATE = ProblemType(
    *("template-error", 500, "A mail template failed"),
    "`detail` has the file, the line and the reason.",
    "order_confirmation.txt, line 2: tuple object has no element 9",
)
NOT_SENT = ProblemType(
    *("not-sent", 502, "The order confirmation could not be sent"),
    "`detail` has the relay's reply. The order remains stored; resend sends it again.",
    "The order confirmation could not be sent: rcpt: 550 5.1.1 no such user.",
)
UNAVAILABLE = ProblemType(
    *("outbox-unavailable", 503, "The outbox is unavailable"),
    "Nothing was stored or changed: send the request again later.",
    "The outbox is unavailable, and nothing was stored or changed. Send the same request again later.",
    retry_after=10,
)
UNCONFIRMED = ProblemType(
    *("write-unconfirmed", 503, "The write is not confirmed"),
    "The database did not confirm the commit, so the request may or may not have taken effect. Sending the same order "
    "again is safe, and so is a resend with the same `Idempotency-Key`.",
    "The database did not confirm the commit, so this may or may not be stored. Send the same order again: it is "
    "stored once. Before you repeat a resend without an Idempotency-Key, check the order's state.",
    retry_after=10,
)
FULL = ProblemType(
    *("outbox-full", 503, "The outbox is full"),
    "Too many mails are waiting, and nothing was stored: send the order again later.",
    "Too many mails are waiting, so the order was not stored. Send it again later, with the same order_id.",
    retry_after=60,
)

#: Problems of every operation.
ALWAYS = (
    *(UNAUTHORIZED, CROSS_SITE, NOT_ACCEPTABLE, URI_TOO_LONG, MISDIRECTED),
    *(TOO_MANY, HEADERS_TOO_LARGE, INTERNAL),
)
#: Further problems of an operation with a JSON body.
BODY = (BAD_REQUEST, REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED)
#: The type of each status that an exception of werkzeug or Flask can have. Each has a different status.
DEFAULTS = (
    *(BAD_REQUEST, UNAUTHORIZED, CROSS_SITE, NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, REQUEST_TIMEOUT),
    *(TOO_LARGE, URI_TOO_LONG, UNSUPPORTED, MISDIRECTED, TOO_MANY, HEADERS_TOO_LARGE, INTERNAL),
)
#: All problem types, in the order of their definition. Collected here, so that none is left out.
ALL = tuple(value for value in list(globals().values()) if isinstance(value, ProblemType))
