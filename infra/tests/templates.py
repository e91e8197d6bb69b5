"""The CloudFormation templates as the tests read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfnlint.decode import decode

FOLDER = Path(__file__).parent.parent / "cloudformation"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/orderconfirm"


def load(name: str) -> dict[str, Any]:
    """Return a template with its functions written out, as in {"Fn::Sub": "…"}."""
    template, errors = decode(str(FOLDER / name))
    assert not errors
    return json.loads(json.dumps(template))  # type: ignore[no-any-return] # plain dicts and lists


def example(name: str, tag: str = "v0.1.0") -> dict[str, str]:
    """Return the parameters of an example file, with an image."""
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return {**json.loads(text)["Parameters"], "Image": f"{IMAGE}:{tag}"}


def of_type(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of the resources of one type, by their names."""
    found = template["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in found if each["Type"] == kind}


def resolve(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the template with the values of its parameters, and without what its conditions exclude."""
    return _Resolver(template, parameters).value(template)  # type: ignore[no-any-return]


class _Resolver:
    """Replaces references to parameters, and `Fn::If`. Other functions stay as they are."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._conditions = template.get("Conditions", {})
        declared = template["Parameters"].items()
        self._texts = {name: str(each["Default"]) for name, each in declared if "Default" in each} | dict(parameters)
        self._values = {name: _typed(text, template["Parameters"][name]) for name, text in self._texts.items()}

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for each in node if (value := self.value(each)) is not None]
        if not isinstance(node, dict):
            return node
        if list(node) == ["Ref"]:
            return None if node["Ref"] == "AWS::NoValue" else self._values.get(node["Ref"], node)
        if list(node) == ["Fn::If"]:
            condition, then, otherwise = node["Fn::If"]
            return self.value(then if self.holds({"Condition": condition}) else otherwise)
        return {name: value for name, each in node.items() if (value := self._member(each)) is not None}

    def _member(self, node: Any) -> Any:
        """Return the value of a dict's member, None if it is a resource or an output whose condition does not hold."""
        condition = node.get("Condition") if isinstance(node, dict) else None
        excluded = isinstance(condition, str) and len(node) > 1 and not self.holds({"Condition": condition})
        return None if excluded else self.value(node)

    def holds(self, condition: Mapping[str, Any]) -> bool:
        """Say whether a condition, or an assertion of a rule, holds."""
        [(function, operand)] = condition.items()
        match function:
            case "Condition":
                return self.holds(self._conditions[operand])
            case "Fn::Not":
                return not self.holds(operand[0])
            case "Fn::And":
                return all(map(self.holds, operand))
            case "Fn::Or":
                return any(map(self.holds, operand))
            case "Fn::Contains":
                return self._text(operand[1]) in operand[0]
        left, right = map(self._text, operand)
        return left == right

    def _text(self, node: Any) -> str:
        """Return an operand of Fn::Equals."""
        match node:
            case {"Ref": name}:
                return self._texts[name]
            case {"Fn::Select": [index, {"Fn::Split": [separator, {"Fn::Sub": text}]}]}:
                for name, value in self._texts.items():
                    text = text.replace(f"${{{name}}}", value)
                return text.split(separator)[index]  # type: ignore[no-any-return]
        return str(node)


def _typed(text: str, parameter: Mapping[str, Any]) -> str | int | bool:
    if parameter["Type"] == "Number":
        return int(text)
    return text == "true" if parameter.get("AllowedValues") == ["true", "false"] else text


def broken_rules(template: Mapping[str, Any], parameters: Mapping[str, str]) -> list[str]:
    """Return what the template's rules say against its parameters."""
    resolver = _Resolver(template, parameters)
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if resolver.holds(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not resolver.holds(assertion["Assert"])
    ]
