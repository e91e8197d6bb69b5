"""JSON Schemas of the custom marshmallow fields."""

from __future__ import annotations

from typing import Any

from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow.fields import Field

from orderconfirm.order.fields import Number, Text, TextMap, Timestamp
from orderconfirm.order.schemas import PostalAddress
from orderconfirm.order.text_fields import CurrencyCode, LocaleTag, MailAddress, TimeZoneName, WebUrl

JsonSchema = dict[str, Any]

#: Blank text or a single dash. Shops send it for unknown values, and it counts as absent.
_BLANK: JsonSchema = {"type": "string", "pattern": r"^\s*-?\s*$"}
_DIGITS = r"\d{1,12}(\.\d{1,40})?\s*$"
#: Text fields with a format: its name in JSON Schema, if there is one, and its description.
_FORMATS: dict[type[Text], tuple[str | None, str]] = {
    MailAddress: ("email", "an email address with an ASCII local part"),
    WebUrl: ("uri", "an absolute http or https URL"),
    CurrencyCode: (None, "three letters, such as USD"),
    LocaleTag: (None, "a language tag, such as de-AT or pt_BR"),
    TimeZoneName: (None, "an IANA time zone, such as Europe/Berlin"),
}


def register(converter: Any) -> None:
    """Add the custom fields to apispec's converter."""
    for field_type in (Text, *_FORMATS, Timestamp, Number, PostalAddress, TextMap):
        converter.field_mapping[field_type] = (None, None)
    converter.add_attribute_function(_json_schema)


def _json_schema(_: MarshmallowPlugin, field: Field[Any], **__: Any) -> JsonSchema:
    if isinstance(field, Number):
        schema = _number(field)
    elif isinstance(field, PostalAddress):
        schema = _address()
    elif isinstance(field, Timestamp):
        schema = {"anyOf": [{"type": "string"}], "description": "an ISO 8601 time; UTC if it has no zone"}
    elif isinstance(field, TextMap):
        schema = _texts(field)
    elif isinstance(field, Text):
        schema = _text(field)
    else:
        return {}
    if field.allow_none:
        schema["anyOf"].append({"type": "null"})
    return {**schema, **field.metadata}


def _text(field: Text) -> JsonSchema:
    name, description = _FORMATS.get(type(field), (None, None))
    string: JsonSchema = {"type": "string", "maxLength": field.max_length}
    if name:
        string["format"] = name
    elif field.required:
        string |= {"minLength": 1, "pattern": r"\S"}
    alternatives = [string]
    if name and not field.required:
        alternatives.append(_BLANK)
    if field.numbers:
        alternatives.append({"type": "number"})
    return {"anyOf": alternatives, **({"description": description} if description else {})}


def _texts(field: TextMap) -> JsonSchema:
    names = {"propertyNames": {"pattern": f"^{field.name_pattern}$"}, "maxProperties": field.maximum}
    text = _text(field.text)
    text["anyOf"].append({"type": "null"})
    return {"anyOf": [{"type": "object", "additionalProperties": text, **names}]}


def _number(field: Number) -> JsonSchema:
    minimum = {"positive": {"exclusiveMinimum": 0}, "zero": {"minimum": 0}}.get(field.minimum, {})
    sign = r"\+?" if minimum else "[+-]?"
    return {
        "anyOf": [
            {"type": "number", "exclusiveMaximum": int(field.below), **minimum},
            {"type": "string", "pattern": rf"^\s*{sign}{_DIGITS}"},
        ],
        "description": 'a number, or a string such as "79.90"',
    }


def _address() -> JsonSchema:
    text = {"type": "string", "maxLength": 1000}
    return {
        "anyOf": [text, {"$ref": "#/components/schemas/Address"}],
        "description": "text, or the parts of the address",
    }
