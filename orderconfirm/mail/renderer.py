"""Rendering of an order as its confirmation mail: subject, plain text and HTML."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from babel import Locale

from orderconfirm.mail.i18n import Language, Languages
from orderconfirm.mail.json_ld import order_script
from orderconfirm.mail.template_context import CompanyView, company_view, order_view, shorten
from orderconfirm.mail.templates import SUFFIXES, Context, Templates
from orderconfirm.models import Email
from orderconfirm.order.models import Order
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import Settings

#: Maximum size of the HTML part in bytes: Gmail clips it at about 102 kB. Lines that do not fit are left out.
MAX_BYTES = 100_000
#: Bytes of the maximum that may stay unused while lines are left out.
MAX_UNUSED_BYTES = 3_000
#: Seconds between two checks for edited templates.
LOOK_INTERVAL = 0.05
#: Length to which the texts of an order are cut when its HTML part is too large even without lines.
MAX_CHARACTERS = 60


class MailRenderer:
    """Renders orders as mails. Each template is taken from the first of `folders` that has it."""

    def __init__(self, settings: Settings, folders: Sequence[Path]) -> None:
        """Compile the templates and check them with every sample order. Raises TemplateError."""
        self._folders = folders
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._loaded_times: list[int] = []
        self._use(settings)
        self._load()

    def for_shop(self, settings: Settings) -> MailRenderer:
        """Return a renderer with the same compiled templates and a shop's own name, links, texts and colours.

        Raises TemplateError when the shop has a text in an unknown language.
        """
        other = copy(self)
        other._use(settings)
        for name in ("legal_text", "withdrawal_url"):
            other._languages.expect_known(getattr(settings, name), name)
        return other

    @property
    def languages(self) -> list[str]:
        """The names of the installed catalogues, which are locales."""
        return self._languages.available

    def render(self, order: Order) -> Email:
        """Return the order's confirmation in its language. Raises TemplateError when a template fails."""
        if not self._settings.is_production:
            self._reload_if_changed()
        language = self._languages.get(order.locale)
        templates = self._templates_in(language)
        context, html = self._fit(order, language, templates)
        return Email(templates.subject(context), templates.text(context), html, context["lang"])

    def _fit(self, order: Order, language: Language, templates: Templates) -> tuple[Context, str]:
        """Return the context for both parts of the mail, with as many lines as fit, and the HTML part."""
        context = self._context(order, language, len(order.items))
        html = templates.html(context)
        size = len(html.encode())
        if size > MAX_BYTES:
            return self._fill(order, language, templates, size) or (context, self._shortened(context, templates))
        script = order_script(order, context["company"]) if self._settings.json_ld else ""
        if not script or size + len(script.encode()) > MAX_BYTES:
            return context, html
        head, end_tag, rest = html.partition("</head>")
        return context, f"{head}{script}\n{end_tag}{rest}" if end_tag else html

    def _fill(self, order: Order, language: Language, templates: Templates, size: int) -> tuple[Context, str] | None:
        """Fill the HTML part with lines up to the maximum, or return None if it is too large without any.

        `size` is its size with all lines.
        """
        context = self._context(order, language, 0)
        html = templates.html(context)
        unused = MAX_BYTES - len(html.encode())
        if unused < 0:
            return None
        shown, too_many, excess = 0, len(order.items), size - MAX_BYTES
        while too_many - shown > 1 and unused > MAX_UNUSED_BYTES:
            # Lines have similar sizes, so the number that fits is close to this share of them.
            guess = shown + (too_many - shown) * unused // (unused + excess)
            guess = min(max(guess, shown + 1), too_many - 1)
            candidate = self._context(order, language, guess)
            candidate_html = templates.html(candidate)
            left = MAX_BYTES - len(candidate_html.encode())
            if left < 0:
                too_many, excess = guess, -left
            else:
                shown, unused, context, html = guess, left, candidate, candidate_html
        return context, html

    def _shortened(self, context: Context, templates: Templates) -> str:
        """Return the HTML part without lines and with short texts. Only abusive input is this long."""
        view = replace(context["order"], shown_lines=(), hidden_count=len(context["order"].lines))
        return templates.html({**context, "order": shorten(view, MAX_CHARACTERS)})

    def _templates_in(self, language: Language) -> Templates:
        translated = self._translated  # local reference: another thread may reload the templates
        templates = translated.get(language.catalogue)
        if templates is None:
            # Two threads may compile them at the same time.
            templates = translated[language.catalogue] = self._templates.translated(language.gettext)
        return templates

    def _context(self, order: Order, language: Language, max_lines: int) -> Context:
        view = order_view(order, language.locale, language.gettext, max_lines)
        return {"company": self._company(language.locale), "order": view, **language.context}

    def _use(self, settings: Settings) -> None:
        self._settings = settings
        self._company = lru_cache(maxsize=64)(self._company_in)

    def _company_in(self, locale: Locale) -> CompanyView:
        return company_view(self._settings, partial(self._languages.choose, locale=locale))

    def _load(self) -> None:
        self._loaded_times = []  # after a failure, the next mail loads again and reports the same error
        paths = [path for folder in self._folders for path in (folder, *folder.rglob("*"))]
        self._watched = [path for path in paths if path.is_dir() or path.suffix[1:] in (*SUFFIXES, "po")]
        times = _modification_times(self._watched)
        self._languages = Languages(self._folders, self._settings.default_locale)
        templates = Templates(self._folders)
        templates.check(
            self._context(order, self._languages.get(order.locale), len(order.items)) for order in SAMPLES.values()
        )
        self._templates = templates
        #: By catalogue, each compiled for its first mail.
        self._translated: dict[str, Templates] = {}
        self._loaded_times = times

    def _reload_if_changed(self) -> None:
        """Load templates and catalogues again after an edit, so that the next mail shows it. For development only."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_INTERVAL
        with self._lock:
            if _modification_times(self._watched) != self._loaded_times:
                self._load()


def _modification_times(paths: Sequence[Path]) -> list[int]:
    """Return each path's modification time. A folder's changes when a file is added or removed."""
    return [_modification_time(path) for path in paths]


def _modification_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
