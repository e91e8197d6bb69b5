from __future__ import annotations

import jinja2
import pytest

from orderconfirm.mail.translated_environment import TranslatedEnvironment

GERMAN = {"Hello %(name)s,": "Guten Tag <b>%(name)s</b>,", "100%% safe": "100 %% sicher", "Total": "Summe & mehr"}

SOURCES = (
    '{{ _("Total") }}',
    '{{ _("100%% safe") }}',
    '{{ _("Hello %(name)s,", name=name) }}',
    '{{ _("Hello %(name)s,", name=_("Total")) }}',
    '{{ _("Hello %(name)s,", name=name | upper) | length }}',
    '{{ gettext("Hello %(name)s,", name=name ~ "%") ~ "<" }}',
    '{% set bold %}<i>{{ name }}</i>{% endset %}{{ _("Hello %(name)s,", name=bold) }}',
    "{{ _(name) }}",
    '{{ _("Hello %(name)s,", **{"name": name}) }}',
)


def translate(text: str) -> str:
    return GERMAN.get(text, text)


def jinjas_own(autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(autoescape=autoescape, extensions=["jinja2.ext.i18n"])  # noqa: S701
    environment.install_gettext_callables(translate, lambda one, many, number: one, newstyle=True)  # type: ignore[attr-defined]
    return environment


def ours(autoescape: bool) -> jinja2.Environment:
    environment = TranslatedEnvironment(translate, autoescape=autoescape, extensions=["jinja2.ext.i18n"])
    environment.install_gettext_callables(translate, lambda one, many, number: one, newstyle=True)  # type: ignore[attr-defined]
    return environment


@pytest.mark.parametrize("autoescape", [True, False], ids=["HTML", "text"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_translated_text_is_that_of_jinjas_own_extension(source: str, autoescape: bool) -> None:
    expected = jinjas_own(autoescape).from_string(source).render(name="<Jane & Co>")

    assert ours(autoescape).from_string(source).render(name="<Jane & Co>") == expected


def test_a_text_is_looked_up_when_its_template_is_compiled() -> None:
    looked_up: list[str] = []
    environment = TranslatedEnvironment(lambda text: looked_up.append(text) or text)  # type: ignore[func-returns-value]
    template = environment.from_string('{{ _("Hello %(name)s,", name=name) }}')

    assert [template.render(name=name) for name in ("Jane", "Joe")] == ["Hello Jane,", "Hello Joe,"]
    assert looked_up == ["Hello %(name)s,"]
