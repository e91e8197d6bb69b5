"""Renderers that tests share, because compiling the templates takes most of a test's time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.settings import TEMPLATES, Settings

_shared: dict[object, MailRenderer] = {}


def shared_renderer(settings: Settings, folders: Sequence[Path] = (TEMPLATES,)) -> MailRenderer:
    """Return a renderer with these settings, whose templates are compiled once."""
    key = (settings.default_locale, tuple(folders))
    if key not in _shared:
        _shared[key] = MailRenderer(settings, folders)
    return _shared[key].for_shop(settings)
