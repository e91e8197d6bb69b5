"""The catalogues that ship, and which of them an order gets."""

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

OURS = ROOT / "templates"
SHIPPED = ["ar", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "zh_Hans"]
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def catalogue(language: str) -> Catalog:
    path = OURS / "locale" / language / "LC_MESSAGES" / "order_confirmation.po"
    return read_po(BytesIO(path.read_bytes()), locale=language)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the templates say now, extracted as `make messages` does."""
    out = tmp_path_factory.mktemp("pot") / "messages.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "pyproject.toml", "-o", str(out)]
    subprocess.run([*command, "."], cwd=ROOT, check=True, timeout=60)
    return {singular(message) for message in read_po(BytesIO(out.read_bytes())) if message.id}


def singular(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def test_the_languages_that_ship() -> None:
    assert Languages([OURS], "en").available == SHIPPED


@pytest.mark.parametrize("language", [each for each in SHIPPED if each != "en"])
def test_a_catalogue_has_every_sentence_in_every_plural_with_its_placeholders(
    language: str, sentences: set[str]
) -> None:
    found = catalogue(language)
    messages = {singular(message): message for message in found if message.id}
    assert set(messages) == sentences
    for message_id, message in messages.items():
        forms = [message.string] if isinstance(message.string, str) else list(message.string)
        assert len(forms) == (1 if isinstance(message.id, str) else found.num_plurals), message_id
        assert not message.fuzzy and all(forms), message_id
        # Arabic has words, not numbers, for one and two.
        counted = forms if isinstance(message.id, str) else forms[3:] or forms
        for form in counted:
            assert set(PLACEHOLDER.findall(form)) == set(PLACEHOLDER.findall(message_id)), message_id


@pytest.mark.parametrize(
    ("tag", "locale", "thanks"),
    [
        ("de", "de", "Vielen Dank für Ihre Bestellung"),
        ("de-AT", "de_AT", "Vielen Dank für Ihre Bestellung"),
        ("DE_ch", "de_CH", "Vielen Dank für Ihre Bestellung"),
        ("de-XX", "de", "Vielen Dank für Ihre Bestellung"),
        ("en-GB", "en_GB", "Thank you for your order"),
        ("sv", "en", "Thank you for your order"),
        ("xx-YY", "en", "Thank you for your order"),
        ("not a locale", "en", "Thank you for your order"),
        ("../../etc/passwd", "en", "Thank you for your order"),
        ("", "en", "Thank you for your order"),
    ],
)
def test_a_tag_falls_back_by_language_and_then_to_the_default(tag: str, locale: str, thanks: str) -> None:
    language = Languages([OURS], "en").of(tag)
    assert (str(language.locale), language.gettext("Thank you for your order")) == (locale, thanks)


@pytest.mark.parametrize("tag", ["zh", "zh-CN", "zh_Hans", "zh-TW", "zh_Hans_SG"])
def test_every_chinese_reads_the_chinese_there_is(tag: str) -> None:
    assert Languages([OURS], "en").of(tag).gettext("Total") != "Total"


def test_another_default_may_be_named_and_must_be_there() -> None:
    assert str(Languages([OURS], "pl").of("sv").locale) == "pl"
    with pytest.raises(TemplateError, match="DEFAULT_LOCALE sv is none of ar, de, en"):
        Languages([OURS], "sv")


@pytest.mark.parametrize(
    ("tag", "expected"), [("ar", ("ar", "rtl", "right", "left")), ("de-AT", ("de-AT", "ltr", "left", "right"))]
)
def test_a_language_tells_templates_its_direction(tag: str, expected: tuple[str, ...]) -> None:
    context = Languages([OURS], "en").of(tag).context
    assert tuple(context[name] for name in ("lang", "dir", "start", "end")) == expected


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what `make messages` reads and writes."""
    for path in (ROOT / "templates").rglob("*"):
        if path.is_file():
            copy(path, tmp_path)
    for name in ("Makefile", "pyproject.toml", "orderconfirm/mail/template_context.py"):
        copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


def copy(path: Path, folder: Path) -> None:
    to = folder / path.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, to)


def reword(project: Path, old: str, new: str) -> Catalog:
    """Change a sentence of the templates; returns what `make messages` makes of the German catalogue."""
    for path in (project / "templates").glob("order_confirmation.*"):
        path.write_text(path.read_text(encoding="utf-8").replace(f'"{old}"', f'"{new}"'), encoding="utf-8")
    subprocess.run(["make", "-o", ".venv/.run", "messages"], cwd=project, check=True, capture_output=True, timeout=120)
    path = project / "templates" / "locale" / "de" / "LC_MESSAGES" / "order_confirmation.po"
    return read_po(BytesIO(path.read_bytes()), locale="de")


def test_a_reworded_sentence_keeps_its_translation_for_review_and_no_customer_reads_it(project: Path) -> None:
    new = "Many thanks for your order"
    message = reword(project, "Thank you for your order", new).get(new)
    assert message is not None
    assert (message.string, message.fuzzy) == ("Vielen Dank für Ihre Bestellung", True)
    assert Languages([project / "templates"], "en").of("de").gettext(new) == new


def test_a_sentence_that_is_gone_keeps_its_translation_below_the_others(project: Path) -> None:
    old, new = "Thank you for your order", "Xyzzy"
    for change in ((old, new), (old, new), (new, old)):
        assert reword(project, *change).obsolete[old].string == "Vielen Dank für Ihre Bestellung"
        assert Languages([project / "templates"], "en").of("de").gettext(new) == new


def test_a_translation_for_review_cannot_stop_the_start(tmp_path: Path) -> None:
    """It may still have the values of the sentence before."""
    own_catalogue(tmp_path, "de", '#, fuzzy\nmsgid "Hello %(name)s,"\nmsgstr "Hallo %(nmae)s"\n')
    assert Languages([tmp_path, OURS], "en").of("de").gettext("Hello %(name)s,") == "Guten Tag %(name)s,"


def test_one_s_own_language_can_be_added(tmp_path: Path) -> None:
    path = tmp_path / "locale" / "sv" / "LC_MESSAGES" / "order_confirmation.po"
    path.parent.mkdir(parents=True)
    path.write_text('msgid "Total"\nmsgstr "Summa"\n')
    assert Languages([tmp_path, OURS], "en").of("sv-FI").gettext("Total") == "Summa"


def own_catalogue(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "locale" / name / "LC_MESSAGES" / "order_confirmation.po"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "encoding", "says"),
    [
        ('msgid "Total"\nmsgstr "Summe"\nnonsense\n', "utf-8", ""),
        ('msgid "Notes"\nmsgstr "Größe"\n', "latin-1", "utf-8"),
        ('msgid "Hello %(name)s,"\nmsgstr "Hallo %(nmae)s"\n', "utf-8", "nmae"),
        ('msgid "Total"\nmsgstr "100% Danke"\n', "utf-8", "format character"),
        ('msgid "Total"\nmsgstr "<b>Summe</b>"\n', "utf-8", "markup"),
    ],
)
def test_a_catalogue_that_would_break_a_mail_stops_the_start(
    tmp_path: Path, text: str, encoding: str, says: str
) -> None:
    own_catalogue(tmp_path, "de", text, encoding)
    with pytest.raises(TemplateError, match=rf"order_confirmation\.po.*{says}"):
        Languages([tmp_path, OURS], "en")


def test_a_catalogue_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    own_catalogue(tmp_path, "de", 'msgid "Total"\nmsgstr "Summe"\n', "utf-8-sig")
    assert Languages([tmp_path, OURS], "en").of("de").gettext("Total") == "Summe"


@pytest.mark.parametrize(
    ("folder", "tag", "other"),
    [("de_AT", "de-AT", "de-DE"), ("de-AT", "de_AT", "de"), ("zh_Hant", "zh-HK", "zh-CN"), ("pt_BR", "pt-BR", "pt-PT")],
)
def test_a_region_s_own_catalogue_goes_before_its_language_s(tmp_path: Path, folder: str, tag: str, other: str) -> None:
    own_catalogue(tmp_path, folder, 'msgid "Total"\nmsgstr "Regional"\n')
    languages = Languages([tmp_path, OURS], "en")
    assert languages.of(tag).gettext("Total") == "Regional"
    assert languages.of(other).gettext("Total") != "Regional"


def test_words_in_one_script_are_not_marked_as_another() -> None:
    assert Languages([OURS], "en").of("zh-TW").context["lang"] == "zh-Hans"


@pytest.mark.parametrize("tag", ["de-DE-u-co-phonebk", "de_DE.UTF-8", "de@euro"])
def test_what_follows_the_language_does_not_matter(tag: str) -> None:
    assert Languages([OURS], "en").of(tag).gettext("Total") == "Gesamtbetrag"
