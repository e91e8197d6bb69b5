"""What our own kinds of fields take, in the words of JSON Schema: for readers of the documentation, and for testers."""

from __future__ import annotations

from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow.fields import Field

from orderconfirm.order.fields import Number, Text, Timestamp
from orderconfirm.order.schemas import PostalAddress
from orderconfirm.order.text_fields import CurrencyCode, LocaleTag, MailAddress, TimeZoneName, WebUrl

JsonSchema = dict[str, Any]

#: Nothing at all, or a lone dash: shops send it for what they do not know, and it counts as absent.
_BLANK: JsonSchema = {"type": "string", "pattern": r"^\s*-?\s*$"}
_DIGITS = r"\d{1,12}(\.\d{1,40})?\s*$"
#: Texts of a form: its name in JSON Schema, and what it is in words.
_FORMS: dict[type[Text], tuple[str | None, str]] = {
    MailAddress: ("email", "a mail address with an ASCII local part"),
    WebUrl: ("uri", "an absolute http or https address"),
    CurrencyCode: (None, "three letters like USD"),
    LocaleTag: (None, "a language tag like de-AT or pt_BR"),
    TimeZoneName: (None, "a name of the IANA database like Europe/Berlin"),
}


def register(converter: Any) -> None:
    """Teach apispec's converter our fields."""
    for kind in (Text, *_FORMS, Timestamp, Number, PostalAddress):
        converter.field_mapping[kind] = (None, None)
    converter.add_attribute_function(_describe)


def _describe(_: MarshmallowPlugin, field: Field[Any], **__: Any) -> JsonSchema:
    if isinstance(field, Number):
        described = _number(field)
    elif isinstance(field, PostalAddress):
        described = _address()
    elif isinstance(field, Timestamp):
        described = {"anyOf": [{"type": "string"}], "description": "an ISO 8601 time; without a zone, UTC"}
    elif isinstance(field, Text):
        described = _text(field)
    else:
        return {}
    if field.allow_none:
        described["anyOf"].append({"type": "null"})
    return {**described, **field.metadata}


def _text(field: Text) -> JsonSchema:
    form, words = _FORMS.get(type(field), (None, None))
    string: JsonSchema = {"type": "string", "maxLength": field.max_length}
    if form:
        string["format"] = form
    elif field.required:
        string |= {"minLength": 1, "pattern": r"\S"}
    variants = [string]
    if form and not field.required:
        variants.append(_BLANK)
    if field.numbers:
        variants.append({"type": "number"})
    return {"anyOf": variants, **({"description": words} if words else {})}


def _number(field: Number) -> JsonSchema:
    least = {"positive": {"exclusiveMinimum": 0}, "zero": {"minimum": 0}}.get(field.minimum, {})
    sign = r"\+?" if least else "[+-]?"
    return {
        "anyOf": [
            {"type": "number", "exclusiveMaximum": int(field.below), **least},
            {"type": "string", "pattern": rf"^\s*{sign}{_DIGITS}"},
        ],
        "description": 'a number, or a string of digits with a dot like "79.90"',
    }


def _address() -> JsonSchema:
    text = {"type": "string", "maxLength": 1000}
    return {"anyOf": [text, {"$ref": "#/components/schemas/Address"}], "description": "text, or its parts"}
