"""Jinja templates compiled for one language: texts without variables become constants.

Jinja's i18n extension looks up every text again for each mail, which takes a third of the rendering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

Gettext = Callable[[str], str]


class TranslatedEnvironment(jinja2.Environment):
    """An environment whose templates have their constant texts translated by `gettext` when they are compiled."""

    def __init__(self, gettext: Gettext, **options: Any) -> None:
        super().__init__(**options)
        self._translator = _Translator(gettext)

    def compile(
        self,
        source: str | nodes.Template,
        name: str | None = None,
        filename: str | None = None,
        *rest: Any,
        **more: Any,
    ) -> Any:
        """Compile a template, as Jinja's loaders and `from_string` do."""
        tree = self.parse(source, name, filename) if isinstance(source, str) else source
        return super().compile(self._translator.visit(tree), name, filename, *rest, **more)


class _Translator(NodeTransformer):
    """Replaces `_("text")` with the translation, marked as safe in HTML, as the i18n extension does."""

    def __init__(self, gettext: Gettext) -> None:
        self._gettext = gettext

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        call = self.generic_visit(node)
        if isinstance(call, nodes.Call) and (text := _constant_text(call)) is not None:
            # The i18n extension formats every text, so "%%" is a percent sign.
            return nodes.MarkSafeIfAutoescape(nodes.Const(self._gettext(text) % {}), lineno=node.lineno)
        return call


def _constant_text(call: nodes.Call) -> str | None:
    """Return the text of a call that translates a text without variables."""
    is_gettext = isinstance(call.node, nodes.Name) and call.node.name in ("_", "gettext")
    if not is_gettext or len(call.args) != 1 or call.kwargs or call.dyn_args or call.dyn_kwargs:
        return None
    [text] = call.args
    return text.value if isinstance(text, nodes.Const) and isinstance(text.value, str) else None
