"""The environment, read once into a frozen `Settings`. A wrong or missing value stops the start."""

from __future__ import annotations

from orderconfirm.settings.checks import OF_ECS, contradictions
from orderconfirm.settings.loading import DOTENV, load_environment, read_dotenv, unknown_names
from orderconfirm.settings.model import TEMPLATES, Settings
from orderconfirm.settings.relay import Relay
from orderconfirm.settings.service_fields import ROOT
from orderconfirm.settings.values import ApiKey, ByLanguage, Rate

__all__ = [
    "DOTENV",
    "OF_ECS",
    "ROOT",
    "TEMPLATES",
    "ApiKey",
    "ByLanguage",
    "Rate",
    "Relay",
    "Settings",
    "contradictions",
    "load_environment",
    "read_dotenv",
    "unknown_names",
]
