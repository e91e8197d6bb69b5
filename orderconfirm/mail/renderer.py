"""An order becomes the mail that its customer reads: subject, plain text and HTML."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from orderconfirm.mail.i18n import Languages
from orderconfirm.mail.json_ld import order_script
from orderconfirm.mail.template_context import company_view, order_view, shortened
from orderconfirm.mail.templates import SUFFIXES, Context, Templates
from orderconfirm.models import Email
from orderconfirm.order.models import Order
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import Settings

#: Lines shown in the HTML part. Gmail clips a mail at about 102 kB, and a line takes 0.7 kB; the text has all.
MAX_LINES = 50
#: An HTML part is never larger, in bytes: lines are left out until it fits.
MAX_BYTES = 100_000
#: What is left of each text of an order that would not fit even without its lines.
MAX_CHARACTERS = 60


class MailRenderer:
    """Turns orders into mails with the templates of `folders`, the first of which may hold a few of its own."""

    def __init__(self, settings: Settings, folders: Sequence[Path]) -> None:
        """Compiles the templates and tries them with every sample; raises TemplateError."""
        self._settings = settings
        self._folders = folders
        self._company = company_view(settings)
        self._lock = threading.Lock()
        self._seen: list[int] = []
        self._load()

    def render(self, order: Order) -> Email:
        """The order's confirmation in its language. Raises TemplateError when a template cannot take the order."""
        if not self._settings.is_production:
            self._reload_if_changed()
        context = self._context(order, MAX_LINES)
        return Email(self._templates.subject(context), self._templates.text(context), self._html(order, context))

    def _html(self, order: Order, context: Context) -> str:
        shown = MAX_LINES
        html = self._templates.html(context)
        script = order_script(order, self._settings.company_name) if self._settings.json_ld else ""
        while len(html.encode()) + len(script.encode()) > MAX_BYTES:
            if script:
                script = ""
            elif shown:
                shown //= 2
                html = self._templates.html(self._context(order, shown))
            else:
                # Nobody writes so much but to break something; the text part still has all of it.
                without_lines = self._context(order, 0)
                brief = shortened(without_lines["order"], MAX_CHARACTERS)
                return self._templates.html({**without_lines, "order": brief})
        head, end_tag, rest = html.partition("</head>")
        return f"{head}{script}\n{end_tag}{rest}" if end_tag and script else html

    def _context(self, order: Order, max_lines: int) -> Context:
        language = self._languages.of(order.locale)
        view = order_view(order, language.locale, language.gettext, max_lines)
        return {"company": self._company, "order": view, **language.context}

    def _load(self) -> None:
        self._seen = []  # until all is well: what fails is tried and told again
        paths = [path for folder in self._folders for path in (folder, *folder.rglob("*"))]
        self._watched = [path for path in paths if path.is_dir() or path.suffix[1:] in (*SUFFIXES, "po")]
        seen = _changes(self._watched)
        self._languages = Languages(self._folders, self._settings.default_locale)
        templates = Templates(self._folders)
        templates.try_out(self._context(order, MAX_LINES) for order in SAMPLES.values())
        self._templates = templates
        self._seen = seen

    def _reload_if_changed(self) -> None:
        """In development, whoever edits a template sees it in the next mail."""
        with self._lock:
            if _changes(self._watched) != self._seen:
                self._load()


def _changes(paths: Sequence[Path]) -> list[int]:
    """When each was last changed; a folder is when a file comes or goes."""
    return [_changed(path) for path in paths]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
