"""Custom templates: every error is reported before the service starts, with file, line and reason."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import socket
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from factories import make_body
from flask import Flask

from orderconfirm.errors import TemplateError
from orderconfirm.mail.renderer import LOOK_INTERVAL, MAX_BYTES, MailRenderer
from orderconfirm.order.models import Address, Adjustment, Item, Order
from orderconfirm.order.samples import FULL, LONG, SAMPLES, SMALLEST, TWO_LINES
from orderconfirm.settings import ROOT, Settings

BUILT_IN = ROOT / "templates"
HTML, TEXT, SUBJECT = "order_confirmation.html", "order_confirmation.txt", "order_confirmation.subject.txt"
PRODUCTION = Settings(environment="production")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A copy of the templates that a test may break."""
    return Path(shutil.copytree(BUILT_IN, tmp_path / "templates"))


def replace_in(path: Path, old: str, new: str) -> int:
    """Replace the first `old` with `new`. Returns its line number."""
    source = path.read_text(encoding="utf-8")
    before, found, _ = source.partition(old)
    assert found
    path.write_text(source.replace(old, new, 1), encoding="utf-8")
    return before.count("\n") + 1


def render(own: Path, order: Order = TWO_LINES, **settings: Any) -> Any:
    return MailRenderer(Settings(environment="production", **settings), [own, BUILT_IN]).render(order)


def test_templates_missing_in_the_folder_are_taken_from_the_built_in_ones(own: Path) -> None:
    (own / SUBJECT).write_text("Danke, {{ order.customer_name }}!")
    email = render(own)
    assert email.subject == "Danke, John Doe!"
    assert "Thank you for your order" in email.text and "Thank you for your order" in email.html


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("<p>\n{{ order.number }</p>", 2, "unexpected"),
        ("\n\n{% if order.url %}", 3, "end of template"),
        ("<p>{{ ordr.number }}</p>", 1, "`ordr`: there is no such name; meant `order`?"),
        ("\n<p>{{ order.nubmer }}</p>", 2, "`order.nubmer`: there is no such name; meant `order.number`?"),
        (
            "{% for line in order.lines %}\n{{ line.colour }}\n{% endfor %}",
            2,
            "`line.colour`: there is no such name; the names are line.name, ",
        ),
        (
            "{% if order.shown_lines | length > 5 %}\n{{ oops }}{% endif %}",
            2,
            "`oops`: there is no such name; the names are company, dir, end, lang, order, start",
        ),
        (
            "{% if order.nummer == 1 %}\n{{ order.total_amount }}{% endif %}",
            1,
            "`order.nummer`: there is no such name; meant `order.number`?",
        ),
        (
            "{% if dir == 'rtl' %}\n\n{{ oops }}{% endif %}",
            3,
            "`oops`: there is no such name; the names are company, dir, end, lang, order, start",
        ),
        ("<p>\n<script>alert(1)</script>", 2, "<script>"),
        ('\n<link rel="stylesheet" href="https://cdn.example/x.css">', 2, "<link>"),
        ("<style>\n@import url(https://cdn.example/x.css);</style>", 2, "@import"),
        ("<form action='/'>", 1, "<form>"),
    ],
)
def test_an_error_stops_the_start_with_file_line_and_reason(own: Path, source: str, line: int, reason: str) -> None:
    (own / HTML).write_text(source)
    with pytest.raises(TemplateError, match=rf"{HTML}, line {line}: .*{re.escape(reason)}"):
        render(own)


def test_forbidden_markup_in_a_variable_stops_the_start(own: Path) -> None:
    (own / HTML).write_text("{% set tag = 'scr' ~ 'ipt' %}{{ ('<' ~ tag ~ '>') | safe }}")
    with pytest.raises(TemplateError, match="<script>"):
        render(own)


def test_an_included_file_is_named_when_it_fails(own: Path) -> None:
    (own / HTML).write_text("{% include 'footer.html' %}")
    (own / "footer.html").write_text("\n{{ oops }}")
    with pytest.raises(TemplateError, match=r"footer.html, line 2: `oops`: there is no such name"):
        render(own)


def test_a_template_that_cannot_be_inlined_once_is_inlined_for_each_mail(own: Path, log: list[str]) -> None:
    (own / HTML).write_text(
        "<html><head><style>p { color: red }</style></head><body>"
        "<p {% if order.url %}title='x'{% endif %}>{{ order.number }}</p></body></html>"
    )
    assert '<p style="color:red">ORD-12345</p>' in render(own).html
    assert log == ["the CSS rules are inlined again for each mail"]


def test_a_rule_that_depends_on_the_data_is_inlined_for_each_mail(own: Path, log: list[str]) -> None:
    (own / HTML).write_text(
        "<html><head><style>.many { color: red }</style></head><body>"
        "<p class=\"{{ 'many' if order.lines | length > 1 else 'one' }}\">{{ order.number }}</p></body></html>"
    )
    assert 'style="color:red"' in render(own).html
    assert log == ["the CSS rules are inlined again for each mail"]


def test_the_built_in_templates_are_inlined_once(log: list[str]) -> None:
    MailRenderer(PRODUCTION, [BUILT_IN])
    assert log == []


def test_a_custom_catalogue_overrides_the_built_in_one(own: Path) -> None:
    path = own / "locale" / "de" / "LC_MESSAGES" / "order_confirmation.po"
    path.parent.mkdir(parents=True)
    path.write_text('msgid "Thank you for your order"\nmsgstr "Servus!"\n')
    email = render(own, replace(TWO_LINES, locale="de"))
    assert "Servus!" in email.text and "Bestellnummer" in email.text


def test_a_broken_catalogue_stops_the_start(own: Path) -> None:
    path = own / "locale" / "en" / "LC_MESSAGES" / "order_confirmation.po"
    path.parent.mkdir(parents=True)
    path.write_text('msgid "Total"\nmsgstr "Sum"\nnonsense\n')
    with pytest.raises(TemplateError, match=r"order_confirmation\.po"):
        render(own)


def test_json_ld_is_added_after_inlining_and_can_be_turned_off(own: Path) -> None:
    assert '<script type="application/ld+json">{"@context"' in render(own).html
    assert "<script" not in render(own, json_ld=False).html


def test_the_html_never_exceeds_the_size_that_gmail_shows(own: Path) -> None:
    huge = replace(LONG, items=tuple(Item("&" * 500, item.quantity, item.price) for item in LONG.items))
    email = render(own, huge)
    assert 50_000 < len(email.html.encode()) <= MAX_BYTES
    assert re.search(r"and \d+ more items", email.html)
    assert email.text.count("&" * 30) > 200


def test_a_typical_order_stays_small(own: Path) -> None:
    assert len(render(own).html.encode()) <= 12_000


def test_rendering_opens_no_file_and_no_socket(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = MailRenderer(PRODUCTION, [own, BUILT_IN])
    for order in SAMPLES.values():
        renderer.render(order)  # loads its language

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("rendering opened a file or a socket")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    for order in SAMPLES.values():
        renderer.render(order)


def test_in_development_the_next_preview_shows_a_changed_template(start_app: Callable[..., Flask], own: Path) -> None:
    client = start_app(TEMPLATES_DIR=str(own)).test_client()

    def subject() -> Any:
        time.sleep(LOOK_INTERVAL)
        return client.post("/api/order-confirmation/preview", json=make_body()).get_json()

    assert subject()["subject"] == "Order ORD-12345 confirmed"
    (own / SUBJECT).write_text("First")
    assert subject()["subject"] == "First"
    (own / SUBJECT).write_text("\n{{ oops }}")
    subject()
    problem = subject()
    assert (problem["status"], problem["type"]) == (500, "urn:orderconfirm:problem:template-error")
    assert problem["detail"].startswith("order_confirmation.subject.txt, line 2: `oops`: there is no such name")
    (own / SUBJECT).write_text("Second")
    assert subject()["subject"] == "Second"


def test_a_preview_stores_and_sends_nothing(start_app: Callable[..., Flask]) -> None:
    client = start_app().test_client()
    response = client.post("/api/order-confirmation/preview", json=make_body(total=100, extra=1))
    preview = response.get_json()
    assert response.status_code == 200
    assert preview["size"] == {"text": len(preview["text"].encode()), "html": len(preview["html"].encode())}
    assert "100.00" in preview["warnings"][0]
    assert preview["ignored_fields"] == ["/extra"]
    assert client.get("/api/order-confirmation/ORD-12345").status_code == 404
    assert client.post("/api/order-confirmation/preview", json={}).status_code == 422
    time.sleep(0.1)
    assert "ORD-12345" not in client.get("/inbox").get_data(as_text=True)


def test_a_copy_of_the_built_in_templates_renders_the_same_mail(tmp_path: Path) -> None:
    own = Path(shutil.copytree(BUILT_IN, tmp_path / "copy"))
    assert MailRenderer(PRODUCTION, [own, BUILT_IN]).render(FULL) == MailRenderer(PRODUCTION, [BUILT_IN]).render(FULL)


@pytest.mark.parametrize(
    "source",
    [
        "{% if order.url == 'never' %}{{ tyypo }}{% endif %}",
        "{% for sum in order.included %}{{ sum.lable }}{% endfor %}",
    ],
)
def test_an_undefined_name_in_a_rarely_rendered_branch_stops_the_start(own: Path, source: str) -> None:
    (own / HTML).write_text(f"<p>x</p>\n{source}")
    with pytest.raises(TemplateError, match=rf"{HTML}, line 2: .*(tyypo|lable)"):
        render(own)


def test_forbidden_markup_in_any_file_stops_the_start(own: Path) -> None:
    (own / "part.j2").write_text("\n<script>1</script>")
    with pytest.raises(TemplateError, match=r"part\.j2, line 2: <script>"):
        render(own)


def test_a_template_that_is_not_utf_8_is_reported(own: Path) -> None:
    (own / "part.html").write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateError, match=r"part\.html is not UTF-8"):
        render(own)


def test_other_files_in_the_folder_are_ignored(own: Path) -> None:
    (own / "logo.png").write_bytes(b"\x89PNG\xff")
    (own / "notes.md").write_text("<script>")
    assert render(own).subject


def test_a_template_that_renders_nothing_stops_the_start(own: Path) -> None:
    (own / SUBJECT).write_text("")
    with pytest.raises(TemplateError, match="subject template renders nothing"):
        render(own)


def test_a_byte_order_mark_is_removed(own: Path) -> None:
    (own / SUBJECT).write_text("Hi {{ order.number }}", encoding="utf-8-sig")
    assert render(own).subject == "Hi ORD-12345"


def test_an_order_of_extreme_size_stays_within_the_limit(own: Path) -> None:
    quotes = '"' * 200
    address = Address((quotes,) * 10, quotes, quotes, quotes)
    order = replace(
        FULL,
        notes='"' * 2000,
        adjustments=tuple(Adjustment(quotes, Decimal("0.01")) for _ in range(50)),
        billing_address=address,
        shipping_address=address,
        order_url="https://shop.example/" + "&" * 1900,
    )
    email = render(own, order)
    assert len(email.html.encode()) <= MAX_BYTES
    assert email.text.count('"') > 10_000


@pytest.mark.parametrize("name", [HTML, TEXT, SUBJECT])
class TestBrokenTemplate:
    def test_a_syntax_error_stops_the_start_and_names_file_and_line(self, templates: Path, name: str) -> None:
        path = templates / name
        line = replace_in(path, "order.number", "order.number {{")
        with pytest.raises(TemplateError, match=rf"{re.escape(str(path))}, line {line}: ."):
            MailRenderer(PRODUCTION, [templates])

    def test_an_undefined_name_fails_the_mail_and_names_file_and_line(self, templates: Path, name: str) -> None:
        path = templates / name
        path.write_text(path.read_text(encoding="utf-8") + "\n{{ no_such_name }}\n", encoding="utf-8")
        line = path.read_text(encoding="utf-8").split("\n").index("{{ no_such_name }}") + 1
        with pytest.raises(
            TemplateError, match=rf"^{re.escape(name)}, line {line}: `no_such_name`: there is no such name"
        ):
            MailRenderer(PRODUCTION, [templates]).render(SMALLEST)

    def test_an_unknown_field_fails_the_mail_and_names_it(self, templates: Path, name: str) -> None:
        path = templates / name
        path.write_text("{{ company.name }}\n{{ order.colour }}\n", encoding="utf-8")
        with pytest.raises(TemplateError, match=rf"^{re.escape(name)}, line 2: .*colour"):
            MailRenderer(PRODUCTION, [templates]).render(SMALLEST)

    def test_a_failing_expression_fails_the_mail_and_names_file_and_line(self, templates: Path, name: str) -> None:
        (templates / name).write_text("\n\n{{ 1 // 0 }}\n", encoding="utf-8")
        with pytest.raises(TemplateError, match=rf"^{re.escape(name)}, line 3: .*zero"):
            MailRenderer(PRODUCTION, [templates]).render(SMALLEST)

    def test_a_missing_file_stops_the_start_and_is_named(self, templates: Path, name: str) -> None:
        (templates / name).unlink()
        with pytest.raises(TemplateError, match=rf"{re.escape(str(templates / name))} is missing"):
            MailRenderer(PRODUCTION, [templates])


def test_the_style_rules_of_a_template_are_inlined(templates: Path) -> None:
    replace_in(templates / "order_confirmation.html", "<style>", "<style>h1 { color: #abcdef }")
    assert re.search(r'<h1 style="[^"]*color:#abcdef', MailRenderer(PRODUCTION, [templates]).render(SMALLEST).html)


def test_the_example_in_the_documentation_shows_the_order_s_own_field(own: Path) -> None:
    page = (ROOT / "docs" / "mail.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .*\n|^\n)+", page, re.MULTILINE)
    snippets = [textwrap.dedent(block).strip("\n") for block in blocks if "{% if order.custom" in block]
    for name, snippet in zip((HTML, TEXT), snippets, strict=True):
        source = (BUILT_IN / name).read_text(encoding="utf-8")
        [line] = [line for line in source.split("\n") if "We have received your order" in line]
        (own / name).write_text(source.replace(line, f"{line}\n{snippet}"), encoding="utf-8")
    with_note, without_note = render(own, FULL), render(own, TWO_LINES)
    assert '<i dir="auto">Happy birthday, Mum!</i>' in with_note.html and "<i" not in without_note.html
    assert "\nHappy birthday, Mum!\n" in with_note.text and "Happy birthday" not in without_note.text
    assert without_note.text == MailRenderer(PRODUCTION, [BUILT_IN]).render(TWO_LINES).text
    [error] = re.findall(rf"^    ({HTML}, line .*)$", page, re.MULTILINE)
    replace_in(own / HTML, "{% if order.custom.", "{% if order.custm.")
    with pytest.raises(TemplateError, match=rf"^{re.escape(error)}$"):
        render(own)


def test_own_fields_are_listed_and_absent_ones_are_none(own: Path) -> None:
    (own / SUBJECT).write_text(
        "{% for name, text in order.custom %}{{ name }}={{ text }} {% endfor %}"
        "{{ order.custom.items is none }} {{ order.custom['gift_note'] }}"
    )
    assert (
        render(own, replace(TWO_LINES, custom={"gift_note": "Hi", "box": "2"})).subject == "gift_note=Hi box=2 True Hi"
    )


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("order-confirmation.html", "is not used by any template; meant order_confirmation.html?"),
        ("order_confirmation.subject.html", "is not used by any template; meant order_confirmation.subject.txt?"),
        ("mail.j2", "is not used by any template; the mail's templates are order_confirmation.subject.txt, "),
        ("locale/de/order_confirmation.po", "is not used; meant locale/<language>/LC_MESSAGES/order_confirmation.po?"),
    ],
)
def test_a_misnamed_file_stops_the_start(own: Path, file: str, reason: str) -> None:
    (own / file).parent.mkdir(parents=True, exist_ok=True)
    (own / file).write_text("Hello")
    with pytest.raises(TemplateError, match=re.escape(f"{own / file} {reason}")):
        render(own)


def test_a_part_may_be_used_through_another_part(own: Path) -> None:
    (own / SUBJECT).write_text("{% include 'one.j2' %}")
    (own / "one.j2").write_text("{% include 'two.j2' %}")
    (own / "two.j2").write_text("{{ order.number }}")
    assert render(own).subject == "ORD-12345"
