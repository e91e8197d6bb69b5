"""A buffer that collects the bytes of an HTTP request until it is complete (RFC 9112).

It only finds the end of the request. Bytes that are not HTTP count as ready at once; gunicorn's parser refuses them.
"""

from __future__ import annotations

import re

from orderconfirm.limits import MAX_HEAD_BYTES, MAX_WEBHOOK_BODY_BYTES

#: The largest body that is collected. A larger one exceeds every limit of the application, which refuses it unread.
MAX_BUFFERED_BODY_BYTES = MAX_WEBHOOK_BODY_BYTES
#: A chunked body also contains the sizes of its chunks.
MAX_CHUNKED_BYTES = MAX_BUFFERED_BODY_BYTES * 5 // 4
#: Bytes of a chunk's size line, and of all trailers together.
MAX_CHUNK_LINE_BYTES = 8190

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):([^\r\n]*)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,16})[ \t]*(?:;|$)", re.IGNORECASE)


class RequestBuffer:
    """The received bytes of a connection's next request, and of those after it.

    `is_ready`: no more bytes of the request will be collected. `is_complete`: all its bytes have arrived.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._start()

    def _start(self) -> None:
        self.is_ready = self.is_complete = self.is_head_too_large = False
        self.expects_continue = False
        self._end: int | None = None
        self._is_chunked = False
        self._head_end = 0
        #: Where the search for the head's end or the next chunk continues.
        self._position = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._data += data
        self._find_end()

    def end(self) -> None:
        """Stop collecting: the client sends no more."""
        self.is_ready = True

    def drop_body(self) -> None:
        """Stop collecting an incomplete request, and keep only its head."""
        if self._head_end:
            del self._data[self._head_end :]
        self.end()

    def read(self, size: int) -> bytes:
        """Remove and return up to `size` bytes of a ready request; b"" at its end. Later requests remain."""
        size = min(size, len(self._data) if self._end is None else self._end)
        with memoryview(self._data) as view:
            part = bytes(view[:size])
        del self._data[:size]
        if self._end is not None:
            self._end -= len(part)
        return part

    def next(self) -> None:
        """Begin the next request after a complete one was read. Some of its bytes may have arrived already."""
        self._start()
        self._find_end()

    def _find_end(self) -> None:
        if not self._head_end:
            self._find_head()
        if self._head_end and not self.is_ready:
            if self._is_chunked:
                self._find_last_chunk()
            elif self._end is not None and len(self._data) >= self._end:
                self.is_ready = self.is_complete = True

    def _find_head(self) -> None:
        end = self._data.find(b"\r\n\r\n", self._position)
        if end >= 0:
            self._head_end = end + 4
            self._find_framing()
        elif len(self._data) > MAX_HEAD_BYTES:
            self.is_ready = self.is_head_too_large = True
        elif _BARE_LINE_FEED.search(self._data, self._position):
            self.is_ready = True
        self._position = max(0, len(self._data) - 3) if end < 0 else self._head_end

    def _find_framing(self) -> None:
        fields = [
            (name.lower(), value.strip(b" \t").lower())
            for name, value in _FRAMING.findall(self._data, 0, self._head_end)
        ]
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        self._is_chunked = bool(codings) and codings[-1].endswith(b"chunked") and not lengths
        if not self._is_chunked:
            # gunicorn's parser refuses every other combination before it reads a body.
            is_valid = len(lengths) == 1 and lengths[0].isdigit() and not codings
            self._expect_length(lengths[0] if is_valid else b"0")
        request_line_end = self._data.find(b"\r\n")
        is_http_1_1 = self._data.endswith(b"HTTP/1.1", 0, request_line_end)
        self.expects_continue = is_http_1_1 and (b"expect", b"100-continue") in fields

    def _expect_length(self, digits: bytes) -> None:
        # Python refuses to parse thousands of digits.
        length = int(digits) if len(digits) < 19 else MAX_BUFFERED_BODY_BYTES + 1
        if length > MAX_BUFFERED_BODY_BYTES:
            self.is_ready = True
        else:
            self._end = self._head_end + length

    def _find_last_chunk(self) -> None:
        while not self.is_ready and self._skip_chunk():
            pass
        if not self.is_complete and len(self._data) - self._head_end > MAX_CHUNKED_BYTES:
            self.is_ready = True

    def _skip_chunk(self) -> bool:
        """Skip the next chunk. Returns False at the last chunk and at one that is incomplete or invalid."""
        line_end = self._data.find(b"\r\n", self._position, self._position + MAX_CHUNK_LINE_BYTES)
        if line_end < 0:
            self.is_ready = len(self._data) - self._position > MAX_CHUNK_LINE_BYTES
            return False
        size = _CHUNK_SIZE.match(self._data, self._position, line_end)
        if size is None:
            self.is_ready = True
            return False
        length = int(size[1], 16)
        if length == 0:
            self._find_trailers_end(line_end + 2)
            return False
        chunk_end = line_end + 2 + length
        if len(self._data) < chunk_end + 2:
            return False
        self.is_ready = not self._data.startswith(b"\r\n", chunk_end)
        self._position = chunk_end + 2
        return True

    def _find_trailers_end(self, start: int) -> None:
        if self._data.startswith(b"\r\n", start):
            self._end = start + 2
        elif (end := self._data.find(b"\r\n\r\n", start, start + MAX_CHUNK_LINE_BYTES)) >= 0:
            self._end = end + 4
        else:
            self.is_ready = len(self._data) - start > MAX_CHUNK_LINE_BYTES
            return
        self.is_ready = self.is_complete = True
