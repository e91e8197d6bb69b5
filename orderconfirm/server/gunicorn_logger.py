"""gunicorn's logger. Its lines, and all others of its processes, are logged like those of the service."""

from __future__ import annotations

import logging
import platform
from typing import Any

from gunicorn.glogging import Logger

from orderconfirm.logs import configure_service_logging
from orderconfirm.version import VERSION

log = logging.getLogger(__name__)


class ServiceLogger(Logger):  # type: ignore[misc]
    """Has no handler of its own: the master's logging, which its workers inherit, takes its lines."""

    def __init__(self, cfg: Any) -> None:
        configure_service_logging(cfg.loglevel.upper())
        super().__init__(cfg)
        self.error_log.propagate = True
        log.info("orderconfirm is starting", extra={"version": VERSION, "python": platform.python_version()})
