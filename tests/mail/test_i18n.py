"""The shipped catalogues, the choice of a language, and formats of money, quantities and dates."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from orderconfirm.errors import TemplateError
from orderconfirm.mail.i18n import Languages
from orderconfirm.settings import ROOT

TEMPLATES = ROOT / "templates"
SHIPPED = ("ar cs da de el en es fa fi fr he hu it ja ko nb nl pl pt pt_PT ro sv tr uk zh_Hans zh_Hant").split()
#: Languages whose greeting has no name, which would need the vocative.
WITHOUT_NAME = {"cs", "el", "pl", "uk"}
#: Plural forms with a word instead of a number: zero, one and two in Arabic, one in Hebrew.
WORDS = {"ar": 3, "he": 1}
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def catalogue(language: str) -> Catalog:
    path = TEMPLATES / "locale" / language / "LC_MESSAGES" / "order_confirmation.po"
    return read_po(BytesIO(path.read_bytes()), locale=language)


@pytest.fixture(scope="module")
def source_texts(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The texts of the templates, extracted as `make messages` does."""
    out = tmp_path_factory.mktemp("pot") / "messages.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "pyproject.toml", "-o", str(out)]
    subprocess.run([*command, "."], cwd=ROOT, check=True, timeout=60)
    return {singular(message) for message in read_po(BytesIO(out.read_bytes())) if message.id}


def singular(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def test_the_shipped_languages() -> None:
    assert Languages([TEMPLATES], "en").available == SHIPPED


@pytest.mark.parametrize("language", [each for each in SHIPPED if each != "en"])
def test_a_catalogue_has_every_text_in_every_plural_with_its_placeholders(
    language: str, source_texts: set[str]
) -> None:
    translations = catalogue(language)
    messages = {singular(message): message for message in translations if message.id}
    assert set(messages) == source_texts
    for message_id, message in messages.items():
        forms = [message.string] if isinstance(message.string, str) else list(message.string)
        assert len(forms) == (1 if isinstance(message.id, str) else translations.num_plurals), message_id
        assert not message.fuzzy and all(forms), message_id
        placeholders = set(PLACEHOLDER.findall(message_id))
        if message_id == "Hello %(name)s," and language in WITHOUT_NAME:
            placeholders = set()
        for form in forms if isinstance(message.id, str) else forms[WORDS.get(language, 0) :]:
            assert set(PLACEHOLDER.findall(form)) == placeholders, message_id


@pytest.mark.parametrize("language", [each for each in SHIPPED if each != "en"])
def test_a_catalogue_begins_with_a_glossary_which_make_messages_keeps(language: str) -> None:
    assert re.search(r"Glossary\..* tax = \w", " ".join(catalogue(language).header_comment.split("\n# ")))


@pytest.mark.parametrize(
    ("tag", "locale", "thanks"),
    [
        ("de", "de", "Vielen Dank für Ihre Bestellung"),
        ("de-AT", "de_AT", "Vielen Dank für Ihre Bestellung"),
        ("DE_ch", "de_CH", "Vielen Dank für Ihre Bestellung"),
        ("de-XX", "de", "Vielen Dank für Ihre Bestellung"),
        ("en-GB", "en_GB", "Thank you for your order"),
        ("sw", "en", "Thank you for your order"),
        ("xx-YY", "en", "Thank you for your order"),
        ("not a locale", "en", "Thank you for your order"),
        ("../../etc/passwd", "en", "Thank you for your order"),
        ("", "en", "Thank you for your order"),
    ],
)
def test_a_tag_falls_back_by_language_and_then_to_the_default(tag: str, locale: str, thanks: str) -> None:
    language = Languages([TEMPLATES], "en").get(tag)
    assert (str(language.locale), language.gettext("Thank you for your order")) == (locale, thanks)


@pytest.mark.parametrize("tag", ["zh", "zh-CN", "zh_Hans", "zh_Hans_SG"])
def test_every_chinese_variant_uses_the_chinese_catalogue(tag: str) -> None:
    assert Languages([TEMPLATES], "en").get(tag).gettext("Total") != "Total"


def test_the_default_language_must_have_a_catalogue() -> None:
    assert str(Languages([TEMPLATES], "pl").get("sw").locale) == "pl"
    with pytest.raises(TemplateError, match=f"DEFAULT_LOCALE sw is not one of {', '.join(SHIPPED)}"):
        Languages([TEMPLATES], "sw")


@pytest.mark.parametrize(
    ("tag", "expected"), [("ar", ("ar", "rtl", "right", "left")), ("de-AT", ("de-AT", "ltr", "left", "right"))]
)
def test_a_language_gives_templates_its_direction(tag: str, expected: tuple[str, ...]) -> None:
    context = Languages([TEMPLATES], "en").get(tag).context
    assert tuple(context[name] for name in ("lang", "dir", "start", "end")) == expected


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that `make messages` reads and writes."""
    for path in (ROOT / "templates").rglob("*"):
        if path.is_file():
            copy(path, tmp_path)
    for name in ("Makefile", "pyproject.toml", "orderconfirm/mail/labels.py", "orderconfirm/mail/template_context.py"):
        copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


def copy(path: Path, folder: Path) -> None:
    target = folder / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def reword(project: Path, old: str, new: str) -> Catalog:
    """Change a text of the templates, run `make messages` and return the German catalogue."""
    for path in (project / "templates").glob("order_confirmation.*"):
        path.write_text(path.read_text(encoding="utf-8").replace(f'"{old}"', f'"{new}"'), encoding="utf-8")
    subprocess.run(["make", "-o", ".venv/.run", "messages"], cwd=project, check=True, capture_output=True, timeout=120)
    path = project / "templates" / "locale" / "de" / "LC_MESSAGES" / "order_confirmation.po"
    return read_po(BytesIO(path.read_bytes()), locale="de")


def test_the_translation_of_a_changed_text_is_marked_fuzzy_and_not_used(project: Path) -> None:
    new = "Many thanks for your order"
    message = reword(project, "Thank you for your order", new).get(new)
    assert message is not None
    assert (message.string, message.fuzzy) == ("Vielen Dank für Ihre Bestellung", True)
    assert Languages([project / "templates"], "en").get("de").gettext(new) == new


def test_the_translation_of_a_removed_text_is_kept_as_obsolete(project: Path) -> None:
    old, new = "Thank you for your order", "Xyzzy"
    for change in ((old, new), (old, new), (new, old)):
        assert reword(project, *change).obsolete[old].string == "Vielen Dank für Ihre Bestellung"
        assert Languages([project / "templates"], "en").get("de").gettext(new) == new


def test_a_fuzzy_translation_cannot_stop_the_start(tmp_path: Path) -> None:
    """A fuzzy translation may still have the placeholders of the previous text."""
    write_catalogue(tmp_path, "de", '#, fuzzy\nmsgid "Hello %(name)s,"\nmsgstr "Hallo %(nmae)s"\n')
    assert Languages([tmp_path, TEMPLATES], "en").get("de").gettext("Hello %(name)s,") == "Guten Tag %(name)s,"


def test_a_custom_language_can_be_added(tmp_path: Path) -> None:
    path = tmp_path / "locale" / "sw" / "LC_MESSAGES" / "order_confirmation.po"
    path.parent.mkdir(parents=True)
    path.write_text('msgid "Total"\nmsgstr "Jumla"\n')
    assert Languages([tmp_path, TEMPLATES], "en").get("sw-KE").gettext("Total") == "Jumla"


def test_a_new_catalogue_has_the_plural_forms_of_its_language_and_no_placeholders(project: Path) -> None:
    shutil.rmtree(project / "templates" / "locale" / "sk", ignore_errors=True)
    subprocess.run(
        ["make", "-o", ".venv/.run", "language", "LOCALE=sk"],
        cwd=project,
        check=True,
        capture_output=True,
        timeout=120,
    )
    path = project / "templates" / "locale" / "sk" / "LC_MESSAGES" / "order_confirmation.po"
    head = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert "nplurals=3" in head
    assert '"Project-Id-Version: orderconfirm 1' in head
    assert "EMAIL" not in head
    assert "sk" in Languages([project / "templates"], "en").available


def write_catalogue(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "locale" / name / "LC_MESSAGES" / "order_confirmation.po"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding=encoding)
    return path


PLURAL = """msgid "a"\nmsgid_plural "b"\nmsgstr[0] "a"\nmsgstr[1] "b"\n"""


@pytest.mark.parametrize(
    ("text", "encoding", "reason"),
    [
        ('msgid "Total"\nmsgstr "Summe"\nnonsense\n', "utf-8", ""),
        ('msgid "Notes"\nmsgstr "Größe"\n', "latin-1", "utf-8"),
        ('msgid "Hello %(name)s,"\nmsgstr "Hallo %(nmae)s"\n', "utf-8", "nmae"),
        ('msgid "Total"\nmsgstr "100% Danke"\n', "utf-8", "format character"),
        ('msgid "Total"\nmsgstr "<b>Summe</b>"\n', "utf-8", "markup"),
        (f"{PLURAL}msgstr[2] 'c'\n".replace("'", '"'), "utf-8", "no Plural-Forms header: .* make language LOCALE="),
    ],
)
def test_a_catalogue_that_would_break_a_mail_stops_the_start(
    tmp_path: Path, text: str, encoding: str, reason: str
) -> None:
    write_catalogue(tmp_path, "de", text, encoding)
    with pytest.raises(TemplateError, match=rf"order_confirmation\.po.*{reason}"):
        Languages([tmp_path, TEMPLATES], "en")


def test_a_catalogue_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    write_catalogue(tmp_path, "de", 'msgid "Total"\nmsgstr "Summe"\n', "utf-8-sig")
    assert Languages([tmp_path, TEMPLATES], "en").get("de").gettext("Total") == "Summe"


@pytest.mark.parametrize(
    ("folder", "tag", "other"),
    [("de_AT", "de-AT", "de-DE"), ("de-AT", "de_AT", "de"), ("zh_Hant", "zh-HK", "zh-CN"), ("pt_BR", "pt-BR", "pt-PT")],
)
def test_a_regional_catalogue_is_preferred_for_its_region(tmp_path: Path, folder: str, tag: str, other: str) -> None:
    write_catalogue(tmp_path, folder, 'msgid "Total"\nmsgstr "Regional"\n')
    languages = Languages([tmp_path, TEMPLATES], "en")
    assert languages.get(tag).gettext("Total") == "Regional"
    assert languages.get(other).gettext("Total") != "Regional"


@pytest.mark.parametrize(
    ("tag", "catalogue", "lang"),
    [
        ("zh-TW", "zh_Hant", "zh-Hant-TW"),
        ("zh-HK", "zh_Hant", "zh-Hant-HK"),
        ("zh-Hant", "zh_Hant", "zh-Hant"),
        ("zh-CN", "zh_Hans", "zh-Hans-CN"),
        ("zh", "zh_Hans", "zh"),
        ("pt-PT", "pt_PT", "pt-PT"),
        ("pt-AO", "pt_PT", "pt-AO"),
        ("pt-BR", "pt", "pt-BR"),
        ("pt", "pt", "pt"),
        ("nb-NO", "nb", "nb-NO"),
        ("no", "nb", "nb"),
        ("nn-NO", "nb", "nb"),
        ("iw", "he", "he-IL"),
    ],
)
def test_a_tag_selects_the_catalogue_of_its_script_and_region(tag: str, catalogue: str, lang: str) -> None:
    language = Languages([TEMPLATES], "en").get(tag)
    assert (language.catalogue, language.context["lang"]) == (catalogue, lang)


@pytest.mark.parametrize("tag", ["de-DE-u-co-phonebk", "de_DE.UTF-8", "de@euro"])
def test_extensions_of_a_tag_are_ignored(tag: str) -> None:
    assert Languages([TEMPLATES], "en").get(tag).gettext("Total") == "Gesamtbetrag"
