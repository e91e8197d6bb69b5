"""Jinja templates compiled for one language: texts become constants.

Jinja's i18n extension looks up every text again for each mail, which takes two fifths of the rendering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

Gettext = Callable[[str], str]


class TranslatedEnvironment(jinja2.Environment):
    """An environment whose templates have their texts translated by `gettext` when they are compiled."""

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
    """Replaces `_("text", name=value)` by `"translation" % {"name": value}`, as the i18n extension evaluates it."""

    def __init__(self, gettext: Gettext) -> None:
        self._gettext = gettext

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        call = self.generic_visit(node)
        if not isinstance(call, nodes.Call) or (text := _constant_text(call)) is None:
            return call
        # Safe in HTML are the translation's own characters, not the values.
        translation = nodes.MarkSafeIfAutoescape(nodes.Const(self._gettext(text)))
        values = nodes.Dict([nodes.Pair(nodes.Const(value.key), value.value) for value in call.kwargs])
        # Texts without values are formatted as well, so "%%" is a percent sign in every text.
        return nodes.Mod(translation, values, lineno=node.lineno)


def _constant_text(call: nodes.Call) -> str | None:
    """Return the text of a call that translates a constant text."""
    is_gettext = isinstance(call.node, nodes.Name) and call.node.name in ("_", "gettext")
    if not is_gettext or len(call.args) != 1 or call.dyn_args or call.dyn_kwargs:
        return None
    [text] = call.args
    return text.value if isinstance(text, nodes.Const) and isinstance(text.value, str) else None
