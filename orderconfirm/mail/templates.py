"""A folder of templates, loaded: compiled, checked, its style rules inlined."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import css_inline
import jinja2
import jinja2.meta

from orderconfirm.errors import TemplateError
from orderconfirm.mail import text_filters as plaintext
from orderconfirm.mail.css_inlining import CannotInline, inline_once

log = logging.getLogger(__name__)

Context = dict[str, Any]

#: A folder of templates may hold other files too.
SUFFIXES = ("html", "htm", "txt", "j2", "jinja", "jinja2")

#: What mail clients strip or block, or would have rendering reach for another file.
_FORBIDDEN = re.compile(r"<\s*(?:script|link|iframe|object|embed|form)\b|@import\b|@font-face\b", re.IGNORECASE)

_inline = css_inline.CSSInliner(
    # By default the inliner fetches whatever a <link> names, files and URLs.
    load_remote_stylesheets=False,
    keep_style_tags=False,
    keep_at_rules=False,
).inline


class Templates:
    """The three templates of the mail, each from the first of `folders` that has it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Compiles them. Raises TemplateError, which names file, line and reason."""
        self._folders = folders
        self._plain = _environment(folders, autoescape=False)
        self._html = _environment(folders, autoescape=True)
        self._subject_template = self._load(self._plain, "order_confirmation.subject.txt")
        self._text_template = self._load(self._plain, "order_confirmation.txt")
        self._source_template = self._load(self._html, "order_confirmation.html")
        self._inlined_template: jinja2.Template | None = None

    def subject(self, context: Context) -> str:
        """One line. Raises TemplateError, as its siblings do."""
        return " ".join(_render(self._subject_template, context).split())

    def text(self, context: Context) -> str:
        return plaintext.tidy(_render(self._text_template, context))

    def html(self, context: Context) -> str:
        """The HTML part with its style rules inlined."""
        if self._inlined_template is None:
            return _inline(_render(self._source_template, context))
        try:
            return self._inlined_template.render(context)
        except Exception:
            # Only the template as it was written knows its lines.
            return _inline(_render(self._source_template, context))

    def try_out(self, contexts: Iterable[Context]) -> None:
        """Render everything for each of `contexts`, and inline the style rules for good if that changes nothing.

        Raises TemplateError for what fails, and for what no mail can show: scripts, forms, foreign style sheets.
        """
        self._check_sources()
        contexts = list(contexts)
        self._check_names(contexts[0])
        for context in contexts:
            for name, part in (("subject", self.subject(context)), ("text", self.text(context).strip())):
                if not part:
                    raise TemplateError(f"the {name} template renders nothing")
            _check_markup(_render(self._source_template, context), self._source_template.name or "")
        self._inlined_template = self._inline_for_good(contexts)

    def _inline_for_good(self, contexts: list[Context]) -> jinja2.Template | None:
        source, filename, _ = self._source(self._source_template.name or "")
        try:
            inlined = self._html.from_string(inline_once(source, self._html, _inline))
            is_equal = all(
                _skeleton(inlined.render(context)) == _skeleton(_inline(_render(self._source_template, context)))
                for context in contexts
            )
            reason = "the result would differ"
        except (CannotInline, jinja2.TemplateError, css_inline.InlineError) as exc:
            is_equal, reason = False, str(exc)
        if is_equal:
            return inlined
        log.warning("style rules are inlined anew for each mail", extra={"template": filename, "reason": reason})
        return None

    def _check_sources(self) -> None:
        for name in self._html.list_templates(SUFFIXES):
            source, path, _ = self._source(name)
            for number, line in enumerate(source.split("\n"), 1):
                if found := _FORBIDDEN.search(line):
                    raise TemplateError(f"{path}, line {number}: {_why(found[0])}")

    def _source(self, name: str) -> tuple[str, str, Any]:
        try:
            return self._html.loader.get_source(self._html, name)  # type: ignore
        except UnicodeDecodeError as exc:
            raise TemplateError(f"{name} is not UTF-8: {exc}") from exc

    def _check_names(self, known: Iterable[str]) -> None:
        """Names that do not exist, in whatever branch they stand: a sample may never come there."""
        known = {*known, *self._html.globals}
        for template in (self._subject_template, self._text_template, self._source_template):
            source, path, _ = self._source(template.name or "")
            for name in jinja2.meta.find_undeclared_variables(self._html.parse(source)) - known:
                line = next((n for n, text in enumerate(source.split("\n"), 1) if re.search(rf"\b{name}\b", text)), 0)
                raise TemplateError(f"{Path(path).name}, line {line}: {name!r} is undefined")

    def _load(self, environment: jinja2.Environment, name: str) -> jinja2.Template:
        try:
            return environment.get_template(name)
        except jinja2.TemplateSyntaxError as exc:
            raise TemplateError(f"{exc.filename or name}, line {exc.lineno}: {exc.message}") from exc
        except jinja2.TemplateNotFound as exc:
            raise TemplateError(f"{self._folders[-1] / name} is missing") from exc
        except UnicodeDecodeError as exc:
            raise TemplateError(f"{name} is not UTF-8: {exc}") from exc


def _environment(folders: Sequence[Path], autoescape: bool) -> jinja2.Environment:
    # No sandbox: templates are the operator's own files, and shop data never becomes a template.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders, encoding="utf-8-sig"),
        autoescape=autoescape,  # noqa: S701
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        # Nothing is read from disk while mails are made.
        auto_reload=False,
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(columns=plaintext.columns, wrapped=plaintext.wrapped, indented=plaintext.indented)
    return environment


def _render(template: jinja2.Template, context: Context) -> str:
    try:
        return template.render(context)
    except Exception as failure:
        # A template is the shop owner's code: whatever it raises is told with the place where it stands.
        raise TemplateError(f"{_place(failure, template)}: {failure}") from failure


def _place(failure: Exception, template: jinja2.Template) -> str:
    """file, line of the innermost template frame in a traceback."""
    place = template.name or ""
    trace = failure.__traceback__
    while trace is not None:
        # Jinja puts frames of its own into the traceback, which speak of the templates as they were written.
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _why(found: str) -> str:
    if found.startswith("@"):
        return f"{found} would load something from elsewhere, which mail clients block"
    return f"{found}> is stripped or blocked by mail clients"


def _check_markup(html: str, name: str) -> None:
    """What a macro or a variable of the template brought in, which its source does not show."""
    if found := _FORBIDDEN.search(html):
        raise TemplateError(f"{name}: renders {_why(found[0])}")


class _Skeleton(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append((tag, sorted((name, " ".join((value or "").split())) for name, value in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)

    def handle_data(self, data: str) -> None:
        self.parts += data.split()


def _skeleton(html: str) -> list[object]:
    """Elements, attributes and words: what stays the same when only the spelling differs."""
    parser = _Skeleton()
    parser.feed(html)
    parser.close()
    return parser.parts
