"""The request body: what an order may hold, and how its faults are told, all at once and by JSON pointer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, post_load, pre_load, validate, validates_schema
from marshmallow.experimental.context import Context

from orderconfirm.errors import FieldError, InvalidOrder
from orderconfirm.models import State
from orderconfirm.order.fields import (
    BoundedList,
    CurrencyCode,
    DigitsInteger,
    LocaleTag,
    MailAddress,
    Number,
    StrictBoolean,
    Text,
    Timestamp,
    TimeZoneName,
    WebUrl,
)
from orderconfirm.order.money import fit_amount, fit_unit_price
from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH, is_reachable

#: The currency of an order that names none, for the time of a load: `with DefaultCurrency("EUR"): …`.
DefaultCurrency = Context[str]

#: An answer names at most this many ignored fields: it must not grow with a careless body.
_MAX_IGNORED = 100

_NESTED_MESSAGES: dict[str, Any] = {"required": "is missing", "null": "must not be null"}

_STATE = "|".join(state.value for state in State)
_SOME_STATES = f"^({_STATE})(,({_STATE}))*$"


def _known_states(text: str) -> None:
    known = [state.value for state in State]
    if unknown := [part for part in text.split(",") if part not in known]:
        raise ValidationError(f"{unknown[0][:40]!r} is none of {', '.join(known)}")


#: What is left of a time with `+02:00` when its `+` was not escaped.
_BARE_ZONE = re.compile(r"(\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)\Z")


def _expect_reachable(order_id: str) -> None:
    if not is_reachable(order_id):
        raise ValidationError(
            "must not begin with /, be preview, end in /cancel or /resend, or have . or .. between slashes:"
            " its address would be another one's"
        )


def _about(words: str) -> dict[str, str]:
    """What a field is for, in the documentation."""
    return {"description": words}


class _Part(Schema):
    """A part of the body. Absent, null and empty are one and the same; unknown fields are left out."""

    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "must be an object", "unknown": "is unknown"}

    @post_load
    def drop_absent(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value not in (None, [])}


class CustomerSchema(_Part):
    name = Text(200, required=True, metadata=_about("as the mail greets them"))
    email = MailAddress(required=True, metadata=_about("where the confirmation goes; its local part in ASCII"))
    address = Text(1000, lines=True, entities=True, metadata=_about("as text; `shipping_address` can say more"))
    phone = Text(60, numbers=True)


class ItemSchema(_Part):
    product_id = Text(100, numbers=True)
    name = Text(500, required=True, entities=True)
    quantity = Number(
        required=True,
        least="positive",
        places=3,
        below=Decimal(10) ** 6,
        metadata=_about("above 0, with up to three decimals"),
    )
    price = Number(
        required=True,
        least="zero",
        negative="must not be negative: send a coupon as `discount`, a gift card or refund in `adjustments`",
        metadata=_about("of one piece"),
    )
    variant = Text(500, entities=True, metadata=_about("size, colour and the like"))
    sku = Text(100, numbers=True)
    image_url = WebUrl(metadata=_about("a picture beside the line"))
    url = WebUrl(metadata=_about("where the line leads"))
    line_total = Number(least="zero", metadata=_about("the shop's own word; default: price times quantity"))


class AdjustmentSchema(_Part):
    label = Text(200, required=True, entities=True, metadata=_about("like Gift card"))
    amount = Number(required=True, metadata=_about("negative when it lowers the total"))


class AddressSchema(_Part):
    lines = BoundedList(
        Text(200, entities=True), 10, allow_none=True, metadata=_about("name, street and the like, as on a parcel")
    )
    city = Text(200, entities=True)
    postcode = Text(20, numbers=True)
    country = Text(100)

    @post_load
    def drop_empty_lines(self, data: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        """Shops send blank lines, and whole blank addresses for goods that need none."""
        lines = [line for line in data.pop("lines", None) or () if line]
        return {"lines": lines, **data} if lines or data else None


class PostalAddress(fields.Field[dict[str, Any] | None]):
    """An address as text with line breaks, or as an object of lines, city, postcode and country."""

    schema = AddressSchema()
    _text = Text(1000, lines=True, entities=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_none=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> dict[str, Any] | None:
        if isinstance(value, str):
            text = self._text.deserialize(value)
            return {"lines": [line.strip() for line in text.split("\n") if line.strip()]} if text else None
        if not isinstance(value, Mapping):
            raise ValidationError("must be a string, or an object of lines, city, postcode and country")
        loaded: dict[str, Any] | None = self.schema.load(value)
        return loaded


class OrderSchema(_Part):
    """An order. Loading gives what the shop said, normalised, and nothing that it did not say."""

    order_id = Text(
        MAX_ORDER_ID_LENGTH,
        required=True,
        numbers=True,
        exact=True,
        validate=_expect_reachable,
        metadata=_about("unique for ever: the same order under it again sends no second mail"),
    )
    customer = fields.Nested(CustomerSchema, required=True, error_messages=_NESTED_MESSAGES)
    items = BoundedList(fields.Nested(ItemSchema, error_messages=_NESTED_MESSAGES), 500, least=1, required=True)
    total = Number(required=True, least="zero", metadata=_about("the shop's word, printed as it is"))
    order_date = Timestamp(metadata=_about("ISO 8601, without a zone UTC; default: now"))
    shipping_method = Text(200, entities=True)
    estimated_delivery = Timestamp(metadata=_about("ISO 8601, without a zone UTC"))

    currency = CurrencyCode(metadata=_about("three letters like EUR; default: the service's"))
    locale = LocaleTag(metadata=_about("of the mail's words, dates and amounts, like de-AT"))
    timezone = TimeZoneName(metadata=_about("of the mail's dates, like Europe/Vienna"))
    subtotal = Number(least="zero")
    discount = Number(metadata=_about("what comes off; a minus sign changes nothing"))
    shipping_cost = Number(least="zero")
    tax = Number(least="zero")
    tax_included = StrictBoolean(allow_none=True, metadata=_about("true: the tax is inside the prices"))
    adjustments = BoundedList(
        fields.Nested(AdjustmentSchema, error_messages=_NESTED_MESSAGES),
        50,
        allow_none=True,
        metadata=_about("fees, tips, gift cards and whatever else changes the total"),
    )
    billing_address = PostalAddress()
    shipping_address = PostalAddress()
    payment_method = Text(200, entities=True)
    order_url = WebUrl(metadata=_about("where the mail's button leads"))
    notes = Text(2000, lines=True, entities=True, metadata=_about("shown below the order"))
    send_before = Timestamp(metadata=_about("after this time no mail is sent"))

    @validates_schema(skip_on_field_errors=False)
    def fit_amounts(self, data: dict[str, Any], **_: Any) -> None:
        """Give each amount the decimals of its currency, in place; a real extra decimal is a fault."""
        currency = data.get("currency") or DefaultCurrency.get("USD") or "USD"
        errors: dict[str, Any] = {}
        for holder, name, path in _amounts(data):
            amount = holder.get(name)
            if amount is None:
                continue
            try:
                holder[name] = fit_unit_price(amount) if name == "price" else fit_amount(amount, currency)
            except ValueError as exc:
                _put(errors, path, str(exc))
        if errors:
            raise ValidationError(errors)

    @post_load
    def unsign_discount(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """A discount is what comes off; some shops (Magento) send it with its minus sign."""
        return {**data, "discount": abs(data["discount"])} if data.get("discount") else data


class ResendSchema(_Part):
    """How an order is sent again: to another address, for a reason that its history will show.

    A name that is not known must not send to an address that nobody meant.
    """

    class Meta:
        unknown = RAISE

    is_optional = True
    error_messages = {"unknown": "is unknown: a resend takes email and reason"}

    email = MailAddress(metadata=_about("another address; default: the order's own"))
    reason = Text(200, metadata=_about("shown in the history"))


class SearchSchema(_Part):
    """Which mails are listed. A name that is not known must not list what nobody asked for."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "is unknown: a list takes state, email, since, until, cursor and limit"}

    @pre_load
    def restore_plus(self, data: Mapping[str, str], **_: Any) -> dict[str, str]:
        """A `+` that nobody escaped is read as a blank, which no address has, and no time before its zone."""
        restored = {"email": data.get("email", "").replace(" ", "+")}
        restored |= {name: _BARE_ZONE.sub(r"\1+\2", data.get(name, "")) for name in ("since", "until")}
        return {**data, **{name: text for name, text in restored.items() if name in data}}

    state = fields.String(
        metadata={"description": "one state, or several with commas", "pattern": _SOME_STATES},
        validate=_known_states,
    )
    email = MailAddress(metadata=_about("the recipient"))
    since = Timestamp(metadata=_about("accepted at this time or later, ISO 8601"))
    until = Timestamp(metadata=_about("accepted before this time"))
    cursor = fields.String(
        validate=validate.Regexp(r"^[0-9]{1,12}(\.[0-9]{1,20})?_[0-9]{1,18}$", error="is no cursor that was given out"),
        metadata=_about("`next_cursor` of the page before"),
    )
    limit = DigitsInteger(
        metadata=_about("how many at most"),
        load_default=50,
        validate=validate.Range(1, 200, error="must be from 1 to 200"),
        error_messages={"invalid": "must be a whole number"},
    )


def load_order(schema: OrderSchema, body: Any) -> tuple[dict[str, Any], list[str]]:
    """Read a decoded JSON body. Returns the order as said, normalised, and the pointers of ignored fields.

    Raises InvalidOrder with every fault.
    """
    if not isinstance(body, Mapping):
        raise InvalidOrder([FieldError("", "the body must be a JSON object that holds one order")])
    try:
        order: dict[str, Any] = schema.load(body)
    except ValidationError as exc:
        raise InvalidOrder(field_errors(exc.messages)) from None
    return order, ignored_fields(schema, body)


def field_errors(messages: Any) -> list[FieldError]:
    """marshmallow's nested messages as faults, in the order of their pointers."""
    return sorted(_faults(messages), key=lambda fault: fault.pointer)


def ignored_fields(schema: Schema, body: Mapping[str, Any]) -> list[str]:
    """Pointers of what the schema does not know."""
    return list(islice(_ignored(schema, body), _MAX_IGNORED))


def _amounts(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, tuple[str | int, ...]]]:
    """Every place an amount may stand: its holder, its name there, its path from the top."""
    for name in ("total", "subtotal", "discount", "shipping_cost", "tax"):
        yield data, name, (name,)
    for name, inner in (("items", "price"), ("items", "line_total"), ("adjustments", "amount")):
        for index, part in enumerate(data.get(name) or ()):
            if isinstance(part, dict):
                yield part, inner, (name, index, inner)


def _put(tree: dict[Any, Any], path: tuple[str | int, ...], message: str) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = [message]


def _pointer(prefix: str, step: str | int) -> str:
    """RFC 6901: ~ and / are escaped."""
    return f"{prefix}/{str(step).replace('~', '~0').replace('/', '~1')}"


def _faults(messages: Any, prefix: str = "") -> Iterator[FieldError]:
    """marshmallow's nested messages as a flat row of faults."""
    if isinstance(messages, Mapping):
        for step, inner in messages.items():
            yield from _faults(inner, prefix if step == "_schema" else _pointer(prefix, step))
    else:
        for message in [messages] if isinstance(messages, str) else messages:
            yield FieldError(prefix, message)


def _ignored(schema: Schema, body: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in body.items():
        field = schema.fields.get(name)
        if field is None:
            yield _pointer(prefix, name)
        elif isinstance(value, Mapping | list) and (inner := _schema_of(field)):
            pointer = _pointer(prefix, name)
            if isinstance(value, Mapping):
                yield from _ignored(inner, value, pointer)
                continue
            for index, part in enumerate(value):
                if isinstance(part, Mapping):
                    yield from _ignored(inner, part, _pointer(pointer, index))


def _schema_of(field: Any) -> Schema | None:
    inner = field.inner if isinstance(field, fields.List) else field
    found = getattr(inner, "schema", None)
    return found if isinstance(found, Schema) else None
