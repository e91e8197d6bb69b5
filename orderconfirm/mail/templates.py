"""The mail's templates: compiled, checked, and with their CSS rules inlined."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import css_inline
import jinja2
import jinja2.meta
import jinja2.nodes

from orderconfirm.errors import TemplateError
from orderconfirm.mail import text_filters
from orderconfirm.mail.css_inlining import CannotInline, inline_once
from orderconfirm.mail.template_names import UnknownName, unknown_names
from orderconfirm.mail.translated_environment import Gettext, TranslatedEnvironment

log = logging.getLogger(__name__)

Context = dict[str, Any]

#: Suffixes of template files. A template folder may contain other files too.
SUFFIXES = ("html", "htm", "txt", "j2", "jinja", "jinja2")
#: The templates of the mail. Other files are parts that one of them includes, imports or extends.
MAIN_TEMPLATES = ("order_confirmation.subject.txt", "order_confirmation.txt", "order_confirmation.html")

#: Markup that mail clients remove or block, or that makes the CSS inliner read another file.
_FORBIDDEN = re.compile(r"<\s*(?:script|link|iframe|object|embed|form)\b|@import\b|@font-face\b", re.IGNORECASE)

_inline = css_inline.CSSInliner(
    # By default the inliner fetches the file or URL that a <link> names.
    load_remote_stylesheets=False,
    keep_style_tags=False,
    keep_at_rules=False,
    # The rules of a line are repeated in each of its cells.
    minify_css=True,
).inline


class Templates:
    """The three templates of the mail in one language, each from the first of `folders` that has it."""

    def __init__(self, folders: Sequence[Path], gettext: Gettext = str) -> None:
        """Compile the templates. Raises TemplateError, which names file, line and reason."""
        self._folders = folders
        self._plain = _environment(folders, gettext, autoescape=False)
        self._html = _environment(folders, gettext, autoescape=True)
        subject, text, html = MAIN_TEMPLATES
        self._subject_template = self._load(self._plain, subject)
        self._text_template = self._load(self._plain, text)
        self._source_template = self._load(self._html, html)
        self._inlined_source: str | None = None
        self._inlined_template: jinja2.Template | None = None

    def translated(self, gettext: Gettext) -> Templates:
        """Return the same templates, which must have been checked, in another language."""
        templates = Templates(self._folders, gettext)
        if self._inlined_source is not None:
            templates._inlined_template = templates._html.from_string(self._inlined_source)
        return templates

    def subject(self, context: Context) -> str:
        """Render the subject as one line. Raises TemplateError."""
        return " ".join(_render(self._subject_template, context).split())

    def text(self, context: Context) -> str:
        """Render the plain text part. Raises TemplateError."""
        return text_filters.tidy(_render(self._text_template, context))

    def html(self, context: Context) -> str:
        """Render the HTML part with its CSS rules inlined. Raises TemplateError."""
        if self._inlined_template is None:
            return _inline(_render(self._source_template, context))
        try:
            return self._inlined_template.render(context)
        except Exception:
            # Render the source template, whose errors have the right line numbers.
            return _inline(_render(self._source_template, context))

    def check(self, contexts: Iterable[Context]) -> None:
        """Render every template for each of `contexts`, and inline the CSS rules once if the results are the same.

        Raises TemplateError for a template that fails, and for markup that no mail client shows: scripts, forms and
        external style sheets.
        """
        self._check_sources()
        contexts = list(contexts)
        self._check_names(contexts[0])
        for context in contexts:
            for name, part in (("subject", self.subject(context)), ("text", self.text(context).strip())):
                if not part:
                    raise TemplateError(f"the {name} template renders nothing")
            _check_markup(_render(self._source_template, context), self._source_template.name or "")
        self._check_files()
        self._inline_once(contexts)

    def _inline_once(self, contexts: list[Context]) -> None:
        """Inline the CSS rules of the HTML template, unless that would change a mail."""
        source, filename, _ = self._source(self._source_template.name or "")
        try:
            inlined_source = inline_once(source, self._html, _inline)
            inlined = self._html.from_string(inlined_source)
            is_same = all(
                _skeleton(inlined.render(context)) == _skeleton(_inline(_render(self._source_template, context)))
                for context in contexts
            )
            reason = "the result would differ"
        except (CannotInline, jinja2.TemplateError, css_inline.InlineError) as exc:
            is_same, reason = False, str(exc)
        if is_same:
            self._inlined_source, self._inlined_template = inlined_source, inlined
        else:
            log.warning("the CSS rules are inlined again for each mail", extra={"template": filename, "reason": reason})

    def _check_sources(self) -> None:
        for name in self._html.list_templates(SUFFIXES):
            source, path, _ = self._source(name)
            for number, line in enumerate(source.split("\n"), 1):
                if found := _FORBIDDEN.search(line):
                    raise TemplateError(f"{path}, line {number}: {_why_forbidden(found[0])}")

    def _source(self, name: str) -> tuple[str, str, Any]:
        try:
            return self._html.loader.get_source(self._html, name)  # type: ignore
        except UnicodeDecodeError as exc:
            raise TemplateError(f"{name} is not UTF-8: {exc}") from exc

    def _check_names(self, known: Iterable[str]) -> None:
        """Raise TemplateError for a name that does not exist, in any branch."""
        known = {*known, *self._html.globals}
        for name in MAIN_TEMPLATES:
            for line, error in sorted(unknown_names(self._parse(name), known)):
                raise TemplateError(f"{name}, line {line}: {error}")

    def _check_files(self) -> None:
        """Raise TemplateError for a file that no template uses: its name has a typing error."""
        used, found = set(MAIN_TEMPLATES), list(MAIN_TEMPLATES)
        for name in found:
            for reference in jinja2.meta.find_referenced_templates(self._parse(name)):
                if reference is None:  # computed, so it may be any file
                    return
                if reference not in used:
                    used.add(reference)
                    found.append(reference)
        for name in sorted({*self._html.list_templates(SUFFIXES)} - used):
            similar = difflib.get_close_matches(name, MAIN_TEMPLATES, n=1, cutoff=0.5)
            advice = f"meant {similar[0]}?" if similar else f"the mail's templates are {', '.join(MAIN_TEMPLATES)}"
            raise TemplateError(f"{self._source(name)[1]} is not used by any template; {advice}")

    def _parse(self, name: str) -> jinja2.nodes.Template:
        try:
            return self._html.parse(self._source(name)[0], name)
        except jinja2.TemplateSyntaxError as exc:
            raise TemplateError(f"{name}, line {exc.lineno}: {exc.message}") from exc
        except jinja2.TemplateNotFound as exc:
            raise TemplateError(f"{name} is missing") from exc

    def _load(self, environment: jinja2.Environment, name: str) -> jinja2.Template:
        try:
            return environment.get_template(name)
        except jinja2.TemplateSyntaxError as exc:
            raise TemplateError(f"{exc.filename or name}, line {exc.lineno}: {exc.message}") from exc
        except jinja2.TemplateNotFound as exc:
            raise TemplateError(f"{self._folders[-1] / name} is missing") from exc
        except UnicodeDecodeError as exc:
            raise TemplateError(f"{name} is not UTF-8: {exc}") from exc


def _environment(folders: Sequence[Path], gettext: Gettext, autoescape: bool) -> jinja2.Environment:
    # No sandbox: templates are the operator's own files, and order data is never used as a template.
    environment = TranslatedEnvironment(
        gettext,
        loader=jinja2.FileSystemLoader(folders, encoding="utf-8-sig"),
        autoescape=autoescape,  # noqa: S701
        undefined=UnknownName,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        # Nothing is read from disk while mails are rendered.
        auto_reload=False,
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(
        columns=text_filters.columns,
        wrapped=text_filters.wrapped,
        indented=text_filters.indented,
        left_to_right=text_filters.left_to_right,
    )
    return environment


def _render(template: jinja2.Template, context: Context) -> str:
    try:
        return template.render(context)
    except Exception as exc:
        # A template is the operator's code and can raise anything. The error names its file and line.
        raise TemplateError(f"{_location(exc, template)}: {exc}") from exc


def _location(exc: Exception, template: jinja2.Template) -> str:
    """Return the file and line of the innermost template frame in the traceback."""
    location = template.name or ""
    trace = exc.__traceback__
    while trace is not None:
        # Jinja adds frames to the traceback that refer to the lines of the template source.
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            location = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return location


def _why_forbidden(markup: str) -> str:
    if markup.startswith("@"):
        return f"{markup} loads an external resource, which mail clients block"
    return f"{markup}> is removed or blocked by mail clients"


def _check_markup(html: str, name: str) -> None:
    """Raise TemplateError for forbidden markup that the source does not show because a variable contains it."""
    if found := _FORBIDDEN.search(html):
        raise TemplateError(f"{name}: renders {_why_forbidden(found[0])}")


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
    """Return the elements, attributes and words of `html`, which do not depend on spacing and attribute order."""
    parser = _Skeleton()
    parser.feed(html)
    parser.close()
    return parser.parts
