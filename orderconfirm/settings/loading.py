"""Settings from the process environment and the `.env` file, and warnings about misspelt names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orderconfirm.settings import dotenv_file
from orderconfirm.settings.model import Settings
from orderconfirm.settings.names import describe_unknown
from orderconfirm.settings.service_fields import ROOT
from orderconfirm.settings.variables import variable_names

#: The file of variables that are not set in the environment.
DOTENV = ROOT / ".env"


def load_environment(environ: Mapping[str, str], dotenv: Path = DOTENV) -> Settings:
    """Return the settings in `environ` and the `.env` file; `environ` overrides the file. Raises SettingsError."""
    return Settings.from_env({**read_dotenv(dotenv), **environ})


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file; an empty dict when there is none. Raises SettingsError."""
    return dotenv_file.read(path, variable_names(Settings))


def unknown_names(environ: Iterable[str]) -> list[str]:
    """Return a sentence for each name in the environment that looks like a setting but is not one."""
    unknown = describe_unknown(environ, variable_names(Settings), is_shared=True)
    return [f"{name} {description}" for name, description in unknown.items()]
