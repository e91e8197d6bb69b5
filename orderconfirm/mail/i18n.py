"""The language of a mail: its catalogue, its formats, its direction."""

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
from babel.messages.catalog import Message
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

    What the first folder's catalogue lacks is taken from the next.
    """

    def __init__(self, folders: Sequence[Path], default: str) -> None:
        """Compiles and checks every catalogue; raises TemplateError, which names the file and what is wrong.

        `default` is the locale of orders whose own is unknown.
        """
        self._catalogues: dict[str, NullTranslations] = {SOURCE: NullTranslations()}
        for folder in reversed(folders):
            for path in sorted(folder.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po")):
                self._add(path)
        self.available = sorted(self._catalogues)
        found = self._find(default)
        if found is None:
            raise TemplateError(f"DEFAULT_LOCALE {default} is none of {', '.join(self.available)}")
        self._default = found
        self.of = lru_cache(maxsize=256)(self._of)

    def _add(self, path: Path) -> None:
        try:
            name = str(Locale.parse(path.parts[-3].replace("-", "_")))
        except (ValueError, UnknownLocaleError) as exc:
            raise TemplateError(f"{path}: {path.parts[-3]} is no language") from exc
        catalogue = _compiled(path)
        if known := self._catalogues.get(name):
            catalogue.add_fallback(known)
        self._catalogues[name] = catalogue

    def _of(self, tag: str) -> Language:
        """The language for a tag like de, de-AT or zh_TW: the nearest there is, else the default."""
        locale, name = self._find(tag) or self._default
        translations = self._catalogues[name]
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
        parts = re.split(r"[-_.@]", tag)
        for length in range(len(parts), 0, -1):
            try:
                locale = Locale.parse("_".join(parts[:length]))
            except (ValueError, UnknownLocaleError):
                continue
            names = [name for name in self.available if name.split("_")[0] == locale.language]
            if not names:
                return None
            likeness = {name: _likeness(Locale.parse(name), locale) for name in names}
            name = max(names, key=likeness.__getitem__)
            catalogue = Locale.parse(name)
            # Words in one script under the dates of another would be neither.
            is_readable = not catalogue.script or not locale.script or catalogue.script == locale.script
            return (locale if is_readable else catalogue), name
        return None


def _likeness(catalogue: Locale, wanted: Locale) -> tuple[bool, bool, bool]:
    """How well a catalogue of the right language fits: by script, by territory, then the plain one."""
    return (
        catalogue.script == wanted.script,
        catalogue.territory == wanted.territory,
        catalogue.territory is None,
    )


def _compiled(path: Path) -> Translations:
    try:
        source = path.read_bytes().decode("utf-8-sig")
        catalogue = read_po(BytesIO(source.encode()), abort_invalid=True)
    except (PoFileError, ValueError, OSError) as exc:
        raise TemplateError(f"{path}: {exc}") from exc
    for message in catalogue:
        _check(message, path)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


def _check(message: Message, path: Path) -> None:
    """A translation must be able to take the values that its sentence takes, and brings no markup of its own."""
    if not message.id or message.fuzzy:  # one for review is not compiled either
        return
    ids, strings = ([each] if isinstance(each, str) else list(each) for each in (message.id, message.string))
    values = dict.fromkeys(re.findall(r"%\((\w+)\)s", " ".join(ids)), "")
    for string in strings:
        try:
            string % values
        except (KeyError, ValueError, TypeError) as exc:
            raise TemplateError(f"{path}, line {message.lineno}: {string!r}: {exc}") from exc
        if "<" in string:
            raise TemplateError(f"{path}, line {message.lineno}: {string!r}: markup belongs into the templates")


def _template_functions(translations: NullTranslations) -> dict[str, Any]:
    """`gettext` and `ngettext` as Jinja's i18n extension calls them, to override the environment's in a context."""
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"])  # noqa: S701 - it renders nothing
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    return {name: environment.globals[name] for name in ("gettext", "ngettext")}
