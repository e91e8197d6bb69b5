"""The environment, read once into a frozen `Settings`. A wrong or missing value stops the start."""

from __future__ import annotations

from secrets import token_bytes

from orderconfirm.settings.fields import ROOT
from orderconfirm.settings.loading import load_environment, unknown_names
from orderconfirm.settings.model import Settings
from orderconfirm.settings.relay import Relay
from orderconfirm.settings.values import ApiKey, Rate

__all__ = ["ROOT", "SECRET_KEY", "ApiKey", "Rate", "Relay", "Settings", "load_environment", "unknown_names"]

#: Signs the compose page's cookie. gunicorn's master creates it when it reads the settings and its workers inherit it
#: by fork, so all of them use the same key until the service stops.
SECRET_KEY = token_bytes(32)
