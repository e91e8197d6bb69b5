"""The names that templates may use, and the errors for those that do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from difflib import get_close_matches

import jinja2
from jinja2 import meta, nodes

from orderconfirm.mail.template_context import CompanyView, LineView, OrderView, SumView

#: The variables of every template.
VARIABLES = ("company", "dir", "end", "lang", "order", "start")
#: The name that each view has in the built-in templates.
_VIEW_NAMES: dict[type, str] = {CompanyView: "company", OrderView: "order", LineView: "line", SumView: "sum"}
_VIEWS = {"company": CompanyView, "order": OrderView}


class UnknownName(jinja2.StrictUndefined):
    """The value of a name that does not exist: any use of it is an error that names similar or all valid names."""

    @property
    def _undefined_message(self) -> str:
        name = str(self._undefined_name)
        if self._undefined_hint:
            return str(super()._undefined_message)
        if self._undefined_obj is jinja2.utils.missing:
            return _describe("", name, VARIABLES)
        view = type(self._undefined_obj)
        if view not in _VIEW_NAMES:
            return str(super()._undefined_message)
        return _describe(f"{_VIEW_NAMES[view]}.", name, _names_in(view))


def unknown_names(tree: nodes.Template, known: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield line and error for each name in a template that is not `known`, and for each that a view lacks.

    This includes branches that no sample order renders.
    """
    undeclared = meta.find_undeclared_variables(tree)
    unknown = undeclared - {*known}
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            yield node.lineno, _describe("", node.name, VARIABLES)
    for attribute in tree.find_all(nodes.Getattr):
        holder = attribute.node
        if isinstance(holder, nodes.Name) and holder.name in undeclared & _VIEWS.keys():
            names = _names_in(_VIEWS[holder.name])
            if attribute.attr not in names:
                yield attribute.lineno, _describe(f"{holder.name}.", attribute.attr, names)


def _names_in(view: type) -> list[str]:
    return [each.name for each in fields(view)]


def _describe(prefix: str, name: str, valid: Iterable[str]) -> str:
    """Return the error for a name that is not one of `valid`, each with `prefix` before it."""
    names = list(valid)
    similar = get_close_matches(name, names, n=1)
    advice = f"meant `{prefix}{similar[0]}`?" if similar else f"the names are {prefix}{f', {prefix}'.join(names)}"
    return f"`{prefix}{name}`: there is no such name; {advice}"
