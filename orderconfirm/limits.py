"""Limits for clients. gunicorn's master imports this module too, so it imports nothing."""

from __future__ import annotations

#: Bytes of the body of an API request, and of a webhook: one webhook carries hundreds of events.
MAX_BODY_BYTES = 1024 * 1024
MAX_WEBHOOK_BODY_BYTES = 4 * 1024 * 1024

#: gunicorn's largest limit. A list's filters are in the query, so its request line may be long.
MAX_REQUEST_LINE_BYTES = 8190
MAX_HEADERS = 100
MAX_HEADER_BYTES = 8190
#: Bytes of the request line and all headers together.
MAX_HEAD_BYTES = 64 * 1024

#: Seconds for which an idle connection is kept: longer than by a load balancer (AWS: 60). Otherwise it sometimes sends
#: a request over a connection that is just being closed, and its client gets a 502.
KEEP_ALIVE_SECONDS = 75

#: Characters of an Idempotency-Key.
MAX_IDEMPOTENCY_KEY_LENGTH = 255

#: Seconds that a caller may wait for the outcome (RFC 7240, Prefer: wait).
MAX_WAIT_SECONDS = 30
