"""The language of a mail: its catalogue and its text direction."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.messages.catalog import Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.support import NullTranslations, Translations

from orderconfirm.errors import TemplateError
from orderconfirm.settings import ByLanguage

DOMAIN = "order_confirmation"
#: The language that the templates are written in.
SOURCE_LANGUAGE = "en"
#: Languages whose readers read another one's catalogue.
_CATALOGUE_LANGUAGES = {"no": "nb", "nn": "nb"}
#: Without it, Babel expects two plural forms.
_NO_HEADER = "no Plural-Forms header: create the catalogue with make language LOCALE=…"


@dataclass(frozen=True, slots=True)
class Language:
    """A language for mails.

    `catalogue` is the name of its translations, which several locales may share. `context` has the template variables
    that depend on it; `gettext` translates the labels made in Python.
    """

    locale: Locale
    catalogue: str
    gettext: Callable[[str], str]
    context: dict[str, Any]


class Languages:
    """The catalogues of `folders`, each at locale/<language>/LC_MESSAGES/order_confirmation.po.

    A text that is missing in the first folder's catalogue is taken from the next folder's.
    """

    def __init__(self, folders: Sequence[Path], default: str) -> None:
        """Compile and check every catalogue. Raises TemplateError, which names the file and the error.

        `default` is the locale for orders in an unknown language.
        """
        self._catalogues: dict[str, NullTranslations] = {SOURCE_LANGUAGE: NullTranslations()}
        for folder in reversed(folders):
            paths = sorted(folder.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po"))
            for path in paths:
                self._add(path)
            for path in {*folder.rglob("*.po")} - {*paths}:
                raise TemplateError(f"{path} is not used; meant locale/<language>/LC_MESSAGES/{DOMAIN}.po?")
        self.available = sorted(self._catalogues)
        match = self._match(default)
        if match is None:
            raise TemplateError(f"DEFAULT_LOCALE {default} is not one of {', '.join(self.available)}")
        self._default = match
        self.get = lru_cache(maxsize=256)(self._get)

    def _add(self, path: Path) -> None:
        try:
            name = str(Locale.parse(path.parts[-3].replace("-", "_")))
        except (ValueError, UnknownLocaleError) as exc:
            raise TemplateError(f"{path}: {path.parts[-3]} is not a language") from exc
        catalogue = _compile(path)
        if known := self._catalogues.get(name):
            catalogue.add_fallback(known)
        self._catalogues[name] = catalogue

    def _get(self, tag: str) -> Language:
        """Return the best available language for a tag like de, de-AT or zh_TW, otherwise the default."""
        locale, name = self._match(tag) or self._default
        translations = self._catalogues[name]
        is_rtl = locale.text_direction == "rtl"
        context = {
            **_template_functions(translations),
            "lang": str(locale).replace("_", "-"),
            "dir": "rtl" if is_rtl else "ltr",
            "start": "right" if is_rtl else "left",
            "end": "left" if is_rtl else "right",
        }
        return Language(locale, name, translations.gettext, context)

    def choose(self, texts: ByLanguage, locale: Locale) -> str:
        """Return the text of the locale, else of its language and script, else of its language, else the plain one."""
        by_locale = {str(match[0]): text for tag, text in texts.texts if (match := self._match(tag))}
        names = (str(locale), f"{locale.language}_{locale.script}", locale.language)
        return next((by_locale[name] for name in names if name in by_locale), texts.plain)

    def expect_known(self, texts: ByLanguage, name: str) -> None:
        """Raise TemplateError if there is no catalogue for the language of a text. `name` is what they all are."""
        for tag, _ in texts.texts:
            if self._match(tag) is None:
                raise TemplateError(f"{name}.{tag}: the language is not one of {', '.join(self.available)}")

    def _match(self, tag: str) -> tuple[Locale, str] | None:
        """Return the Babel locale and the catalogue's name for `tag`, or None when its language has no catalogue.

        An unknown territory or variant is ignored.
        """
        parts = re.split(r"[-_.@]", tag)
        for length in range(len(parts), 0, -1):
            try:
                locale = Locale.parse("_".join(parts[:length]))
            except (ValueError, UnknownLocaleError):
                continue
            language = _CATALOGUE_LANGUAGES.get(locale.language, locale.language)
            names = [name for name in self.available if name.split("_")[0] == language]
            if not names:
                return None
            scores = {name: _score(Locale.parse(name), locale) for name in names}
            name = max(names, key=scores.__getitem__)
            catalogue = Locale.parse(name)
            # Dates and texts must be in the same language and script.
            has_same_script = not catalogue.script or not locale.script or catalogue.script == locale.script
            fits = has_same_script and catalogue.language == locale.language
            return (locale if fits else catalogue), name
        return None


def _score(catalogue: Locale, locale: Locale) -> tuple[bool, ...]:
    """Rank a catalogue of the right language: by script, territory, CLDR's parent (Angola's is Portugal), or none."""
    return (
        catalogue.script == locale.script,
        catalogue.territory == locale.territory,
        str(catalogue) == get_global("parent_exceptions").get(str(locale)),
        catalogue.territory is None,
    )


def _compile(path: Path) -> Translations:
    """Return a checked and compiled catalogue. Raises TemplateError."""
    try:
        source = path.read_bytes().decode("utf-8-sig")
        catalogue = read_po(BytesIO(source.encode()), abort_invalid=True)
    except (PoFileError, ValueError, OSError) as exc:
        lacks_header = "num_plurals" in str(exc) and b"Plural-Forms:" not in path.read_bytes()
        raise TemplateError(f"{path}: {_NO_HEADER if lacks_header else exc}") from exc
    for message in catalogue:
        _check(message, path)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


def _check(message: Message, path: Path) -> None:
    """Raise TemplateError when a translation contains markup, or its placeholders differ from the source text's."""
    if not message.id or message.fuzzy:  # fuzzy translations are not compiled
        return
    ids, strings = ([part] if isinstance(part, str) else list(part) for part in (message.id, message.string))
    values = dict.fromkeys(re.findall(r"%\((\w+)\)s", " ".join(ids)), "")
    for string in strings:
        try:
            string % values
        except (KeyError, ValueError, TypeError) as exc:
            raise TemplateError(f"{path}, line {message.lineno}: {string!r}: {exc}") from exc
        if "<" in string:
            raise TemplateError(f"{path}, line {message.lineno}: {string!r}: markup belongs in the templates")


def _template_functions(translations: NullTranslations) -> dict[str, Any]:
    """Return `gettext` and `ngettext` for Jinja's i18n extension, to override the environment's in a context."""
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"])  # noqa: S701 - renders nothing
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    return {name: environment.globals[name] for name in ("gettext", "ngettext")}
