"""The bytes of one HTTP request, collected as they come until it is whole (RFC 9112).

The buffer finds where a request ends. It judges nothing: what is not HTTP is ready at once, and gunicorn's parser
refuses it.
"""

from __future__ import annotations

import re

#: The longest head, and the largest body, that are collected: a body beyond the application's limits (a webhook's is
#: the largest) is refused without being read.
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
#: A chunked body also has its chunks' sizes.
MAX_CHUNKED_BYTES = MAX_BODY_BYTES * 5 // 4
#: The longest line of a chunk's size, and the longest trailers.
MAX_CHUNK_LINE = 8190

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):([^\r\n]*)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,16})[ \t]*(?:;|$)", re.IGNORECASE)


class RequestBuffer:
    """What has come of a connection's next request, and of those behind it.

    `is_ready`: no more of it will be collected. `is_whole`: it is all there, and where it ends is known.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._start()

    def _start(self) -> None:
        self.is_ready = self.is_whole = self.is_head_too_large = False
        self.expects_continue = False
        self._end: int | None = None
        self._is_chunked = False
        self._head_end = 0
        #: Where the search for the next thing goes on: the head's end, or a chunk.
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._data += data
        self._look()

    def end(self) -> None:
        """Take what has come as all that ever comes."""
        self.is_ready = True

    def drop_body(self) -> None:
        """Give up on a request that is not whole: its body is of no use any more."""
        if self._head_end:
            del self._data[self._head_end :]
        self.end()

    def read(self, size: int) -> bytes:
        """Take up to `size` bytes of a ready request; b"" at its end. The bytes of a next request stay."""
        size = min(size, len(self._data) if self._end is None else self._end)
        with memoryview(self._data) as view:
            part = bytes(view[:size])
        del self._data[:size]
        if self._end is not None:
            self._end -= len(part)
        return part

    def next(self) -> None:
        """Go on to the request behind a whole one that was read, part of which may have come."""
        self._start()
        self._look()

    def _look(self) -> None:
        if not self._head_end:
            self._find_head()
        if self._head_end and not self.is_ready:
            if self._is_chunked:
                self._find_last_chunk()
            elif self._end is not None and len(self._data) >= self._end:
                self.is_ready = self.is_whole = True

    def _find_head(self) -> None:
        end = self._data.find(b"\r\n\r\n", self._at)
        if end >= 0:
            self._head_end = end + 4
            self._find_framing()
        elif len(self._data) > MAX_HEAD_BYTES:
            self.is_ready = self.is_head_too_large = True
        elif _BARE_LINE_FEED.search(self._data, self._at):
            self.is_ready = True
        self._at = max(0, len(self._data) - 3) if end < 0 else self._head_end

    def _find_framing(self) -> None:
        fields = [
            (name.lower(), value.strip(b" \t").lower())
            for name, value in _FRAMING.findall(self._data, 0, self._head_end)
        ]
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        self._is_chunked = bool(codings) and codings[-1].endswith(b"chunked") and not lengths
        if not self._is_chunked:
            # The parser refuses every other combination, before it reads a body.
            is_sound = len(lengths) == 1 and lengths[0].isdigit() and not codings
            self._expect_length(lengths[0] if is_sound else b"0")
        request_line_end = self._data.find(b"\r\n")
        speaks_1_1 = self._data.endswith(b"HTTP/1.1", 0, request_line_end)
        self.expects_continue = speaks_1_1 and (b"expect", b"100-continue") in fields

    def _expect_length(self, digits: bytes) -> None:
        # Python refuses to read numbers of thousands of digits.
        length = int(digits) if len(digits) < 19 else MAX_BODY_BYTES + 1
        if length > MAX_BODY_BYTES:
            self.is_ready = True
        else:
            self._end = self._head_end + length

    def _find_last_chunk(self) -> None:
        while not self.is_ready and self._pass_chunk():
            pass
        if not self.is_whole and len(self._data) - self._head_end > MAX_CHUNKED_BYTES:
            self.is_ready = True

    def _pass_chunk(self) -> bool:
        """Whether a whole chunk was passed, and another follows."""
        line_end = self._data.find(b"\r\n", self._at, self._at + MAX_CHUNK_LINE)
        if line_end < 0:
            self.is_ready = len(self._data) - self._at > MAX_CHUNK_LINE
            return False
        size = _CHUNK_SIZE.match(self._data, self._at, line_end)
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
        self._at = chunk_end + 2
        return True

    def _find_trailers_end(self, start: int) -> None:
        if self._data.startswith(b"\r\n", start):
            self._end = start + 2
        elif (found := self._data.find(b"\r\n\r\n", start, start + MAX_CHUNK_LINE)) >= 0:
            self._end = found + 4
        else:
            self.is_ready = len(self._data) - start > MAX_CHUNK_LINE
            return
        self.is_ready = self.is_whole = True
