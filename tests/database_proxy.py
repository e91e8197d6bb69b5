"""A TCP proxy in front of a PostgreSQL server, for a network and a server that fail on request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from processes import free_port
from psycopg.conninfo import conninfo_to_dict


class DatabaseProxy:
    """Passes on what clients and the server send, unless it `is_frozen`, or is away between `stop` and `start`."""

    def __init__(self, server_url: str) -> None:
        self._target = conninfo_to_dict(server_url)
        self._port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="database-proxy")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        #: While it is set, nothing arrives and no connection ends, as if the network lost every packet.
        self.is_frozen = False
        self._thread.start()

    @property
    def url(self) -> str:
        return f"postgresql://{self._target['user']}@127.0.0.1:{self._port}/{self._target['dbname']}"

    @property
    def connection_string(self) -> str:
        """The same as libpq's keywords and values."""
        return f"host=127.0.0.1 port={self._port} dbname={self._target['dbname']} user={self._target['user']}"

    def start(self) -> None:
        """Accept connections."""
        self._run(self._start())

    def stop(self) -> None:
        """Refuse connections, and cut those that are open."""
        self._run(self._stop())

    def cut(self) -> None:
        """Cut the open connections."""
        self._run(self._cut())

    def close(self) -> None:
        self.is_frozen = False
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(40)
        self._loop.close()

    def _run(self, action: object) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(40)  # type: ignore[arg-type]

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        cut = set(self._writers)
        for writer in cut:
            writer.transport.abort()
        while cut & self._writers:
            await asyncio.sleep(0.01)

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        host, port = str(self._target.get("host", "")), str(self._target.get("port", "5432"))
        if host.startswith("/"):
            server_reader, server_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            server_reader, server_writer = await asyncio.open_connection(host, int(port))
        writers = {client_writer, server_writer}
        self._writers |= writers
        ways = [self._pass_on(client_reader, server_writer), self._pass_on(server_reader, client_writer)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for writer in writers:
            writer.transport.abort()
        await asyncio.wait(tasks)
        self._writers -= writers

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                while self.is_frozen and not writer.is_closing():
                    await asyncio.sleep(0.02)
                writer.write(data)
                await writer.drain()


@contextmanager
def database_proxy(server_url: str) -> Iterator[DatabaseProxy]:
    proxy = DatabaseProxy(server_url)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
