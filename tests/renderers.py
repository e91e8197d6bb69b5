"""Renderers that tests share, because compiling the templates takes most of a test's time."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.mail.template_context import company_view
from orderconfirm.settings import TEMPLATES, Settings

_shared: dict[object, MailRenderer] = {}


def shared_renderer(settings: Settings, folders: Sequence[Path] = (TEMPLATES,)) -> MailRenderer:
    """Return a renderer with these settings of the mail, compiled once."""
    mail_settings = (settings.company_name, settings.default_locale, settings.json_ld, settings.is_production)
    key = (company_view(settings, attrgetter("plain")), mail_settings, tuple(folders))
    if key not in _shared:
        _shared[key] = MailRenderer(settings, folders)
    return _shared[key]
