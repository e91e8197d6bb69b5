"""The mail's templates, compiled and rendered in every installed language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orderconfirm.checks.findings import Finding, error, ok
from orderconfirm.errors import TemplateError
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.order.samples import FULL
from orderconfirm.settings import Settings


def examine_templates(settings: Settings) -> Iterator[Finding]:
    """Compile the templates, which renders every sample order, and render a full order in each language."""
    advice = f"correct it in {settings.template_folders[0]}"
    try:
        renderer = MailRenderer(settings, settings.template_folders)
    except TemplateError as exc:
        is_locale = str(exc).startswith("DEFAULT_LOCALE")
        yield error("templates", str(exc), "set DEFAULT_LOCALE to one of them" if is_locale else advice)
        return
    for language in renderer.languages:
        try:
            renderer.render(replace(FULL, locale=language))
        except TemplateError as exc:
            yield error("templates", f"in the language {language}: {exc}", advice)
            return
    yield ok("templates", f"render in {len(renderer.languages)} languages: {' '.join(renderer.languages)}")
