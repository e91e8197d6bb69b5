"""The language of a mail: its catalogue, its formats, its direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.support import NullTranslations, Translations

from orderconfirm.errors import TemplateError

DOMAIN = "order_confirmation"
#: The language that the templates themselves are written in.
SOURCE = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """`context` is what a template needs of it; `gettext` translates what stands in no template."""

    locale: Locale
    gettext: Callable[[str], str]
    context: dict[str, Any]


class Languages:
    """The catalogues under `folders`: locale/<language>/LC_MESSAGES/order_confirmation.po in each.

    What the first folder's catalogue lacks is taken from the next. A catalogue is compiled when it is first needed.
    """

    def __init__(self, folders: Sequence[Path], default: str) -> None:
        """`default` is the locale of orders whose own is unknown. Raises TemplateError when it is unknown as well."""
        self._folders = folders
        self.available = sorted({SOURCE, *(path.parts[-3] for folder in folders for path in _catalogues(folder))})
        found = self._find(default)
        if found is None:
            raise TemplateError(f"DEFAULT_LOCALE {default} is none of {', '.join(self.available)}")
        self._default = found
        self.of = lru_cache(maxsize=256)(self._of)

    def _of(self, tag: str) -> Language:
        """The language for a tag like de, de-AT or zh_TW: the nearest there is, else the default."""
        locale, name = self._find(tag) or self._default
        translations = self._translations(name)
        is_rtl = locale.text_direction == "rtl"
        context = {
            **_template_functions(translations),
            "lang": str(locale).replace("_", "-"),
            "dir": "rtl" if is_rtl else "ltr",
            "start": "right" if is_rtl else "left",
            "end": "left" if is_rtl else "right",
        }
        return Language(locale, translations.gettext, context)

    def _find(self, tag: str) -> tuple[Locale, str] | None:
        """The Babel locale and the catalogue for `tag`, both by its language if need be; None without a catalogue."""
        parts = tag.replace("-", "_").split("_")
        for length in range(len(parts), 0, -1):
            try:
                locale = Locale.parse("_".join(parts[:length]))
            except (ValueError, UnknownLocaleError):
                continue
            names = [name for name in self.available if name.split("_")[0] == locale.language]
            exact = [name for name in names if name in (str(locale), locale.language)]
            if names:
                return locale, (exact or names)[0]
        return None

    def _translations(self, name: str) -> NullTranslations:
        found: NullTranslations | None = None
        for folder in reversed(self._folders):
            path = folder / "locale" / name / "LC_MESSAGES" / f"{DOMAIN}.po"
            if path.is_file():
                catalogue = _compiled(path)
                if found is not None:
                    catalogue.add_fallback(found)
                found = catalogue
        return found or NullTranslations()


def _catalogues(folder: Path) -> list[Path]:
    return list(folder.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po"))


def _compiled(path: Path) -> Translations:
    try:
        with path.open("rb") as file:
            catalogue = read_po(file, abort_invalid=True)
    except (PoFileError, ValueError, OSError) as wrong:
        raise TemplateError(f"{path}: {wrong}") from wrong
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


def _template_functions(translations: NullTranslations) -> dict[str, Any]:
    """`gettext` and `ngettext` as Jinja's i18n extension calls them, to override the environment's in a context."""
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"])  # noqa: S701 - it renders nothing
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    return {name: environment.globals[name] for name in ("gettext", "ngettext")}
