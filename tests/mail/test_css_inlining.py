"""CSS rules inlined once, in the template, give the same mail as rules inlined in every mail."""

from __future__ import annotations

import random
from html.parser import HTMLParser

import css_inline
import jinja2
import pytest

from orderconfirm.mail.css_inlining import CannotInline, inline_once

_inline = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False).inline
STYLE = "<style>p { color: {{ color }} } td.x { margin: 0 } h1 { padding-{{ side }}: 1px }</style>"

BODIES = [
    "<p>{{ name }}</p>",
    '<table><tbody>{% for row in rows %}<tr><td class="x">{{ row }}</td></tr>{% endfor %}</tbody></table>',
    "<table><thead><tr><th>A</th></tr></thead>{% if rows %}<tbody><tr><td>a</td></tr></tbody>{% endif %}</table>",
    "<a href=\"https://x.example/?a={{ name }}&amp;b=1\" title='{{ name }}'>x</a>",
    "<!-- {{ name }} --><p>a</p><!--[if mso]><b>{{ name }}</b><![endif]-->",
    "<p>{# a < b #}{{ 'a' if 1 < 2 else '>' }}</p>",
    "<textarea>{{ name }} </p></textarea><p>1 < 2 {{ name }}</p>",
    "<p>{% raw %}{{ not a tag }}{% endraw %}</p>",
    "<h1>{% set x %}<b>{{ name }}</b>{% endset %}{{ x }}</h1>",
    "{%- if rows -%}\n<p>\n{{- name -}}\n</p>\n{%- endif %}",
]
NAMES = ["Jo", "<b>&amp;'\"</b>", "jj0jj", "{{ 7*7 }}", "<!--jj1jj-->", "名前", ""]


class _Parts(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.parts: list[object] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append((tag, sorted((name, value or "") for name, value in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(tag)

    def handle_data(self, data: str) -> None:
        self.parts += data.split()

    def handle_comment(self, data: str) -> None:
        self.parts.append(("comment", data))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("name", NAMES)
def test_an_inlined_template_renders_the_same_mail_as_inlining_the_mail(body: str, name: str) -> None:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = f"<html><head><title>{{{{ name }}}}</title>{STYLE}</head><body>{body}</body></html>"
    rng = random.Random(name)
    rows = [rng.choice(NAMES) for _ in range(rng.randrange(4))]
    context = {"name": name, "rows": rows, "color": "#123456", "side": "left"}
    once = environment.from_string(inline_once(source, environment, _inline)).render(context)
    each = _inline(environment.from_string(source).render(context))
    assert _Parts(once).parts == _Parts(each).parts


def test_the_rules_become_style_attributes() -> None:
    source = inline_once(
        f"<html><head>{STYLE}</head><body><p>{{{{ name }}}}</p></body></html>", jinja2.Environment(), _inline
    )
    assert '<p style="color: {{ color }};">{{ name }}</p>' in source
    assert "<style" not in source


@pytest.mark.parametrize(
    "body", ["<p {{ name }}>a</p>", "<p class={{ name }}>a</p>", "<p {% if name %}hidden{% endif %}>a</p>"]
)
def test_a_jinja_tag_in_an_html_tag_outside_quotes_is_refused(body: str) -> None:
    with pytest.raises(CannotInline, match="outside quotes"):
        inline_once(body, jinja2.Environment(), _inline)


def test_a_text_like_a_placeholder_is_refused() -> None:
    with pytest.raises(CannotInline, match="jj0jj"):
        inline_once("<p>jj9jj {{ name }}</p>", jinja2.Environment(), _inline)


def test_letters_that_grow_in_lower_case_move_nothing() -> None:
    source = f"<html><head><title>{'İ' * 20}</title>{STYLE}</head><body><p>{{{{ name }}}}</p></body></html>"

    assert '<p style="color: {{ color }};">{{ name }}</p>' in inline_once(source, jinja2.Environment(), _inline)
