"""The parts of the container image that can be tried without one: its health check and its version."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from processes import ROOT, free_port, service

from orderconfirm.version import VERSION


def check(port: int) -> int:
    """Return the exit code of the health check of a service on `port`."""
    command = [sys.executable, "-IS", "infra/image/healthcheck.py"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PORT": str(port)}, timeout=60).returncode


def check_against(response: bytes) -> int:
    """Return the exit code against a server that sends `response` and then nothing, without closing the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(response)
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=respond)
        thread.start()
        code = check(server.getsockname()[1])
        thread.join()
        return code


def test_the_health_check_passes_for_a_service_that_responds(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port()):
        assert check(port) == 0
    assert check(port) == 1


def test_the_health_check_fails_for_an_error_and_for_a_service_that_does_not_respond() -> None:
    assert check_against(b"HTTP/1.1 503 SERVICE UNAVAILABLE\r\n") == 1
    assert check_against(b"") == 1


def test_the_image_is_labelled_with_the_version_of_the_service() -> None:
    for file, line in (("Dockerfile", f"ARG VERSION={VERSION}"), ("pyproject.toml", f'version = "{VERSION}"')):
        assert line in (ROOT / file).read_text(encoding="utf-8").splitlines()
