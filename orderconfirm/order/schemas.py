"""The schema of an order. All errors are reported at once, each with a JSON pointer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.experimental.context import Context

from orderconfirm.errors import FieldError, InvalidOrder
from orderconfirm.order.fields import BoundedList, Number, StrictBoolean, Text, TextMap, Timestamp
from orderconfirm.order.money import fit_amount, fit_unit_price
from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH, PREVIEW, VERBS, is_reachable
from orderconfirm.order.text_fields import CurrencyCode, LocaleTag, MailAddress, TimeZoneName, WebUrl

#: The currency of orders without one, set for the duration of a load: `with DefaultCurrency("EUR"): …`.
DefaultCurrency = Context[str]

#: Ignored fields named in a response, so that it does not grow with the body.
_MAX_IGNORED = 100

_NESTED_MESSAGES: dict[str, Any] = {"required": "is missing", "null": "must not be null"}


def _expect_reachable(order_id: str) -> None:
    if not is_reachable(order_id):
        verbs = " or ".join(f"/{verb}" for verb in VERBS)
        raise ValidationError(
            f"must not begin with /, be {PREVIEW}, end in {verbs}, or have . or .. between slashes: "
            "its URL would not lead to this order"
        )


def about(words: str) -> dict[str, str]:
    """Return the metadata that documents a field."""
    return {"description": words}


class Part(Schema):
    """A part of the body. Absent, null and empty are the same. Unknown fields are ignored."""

    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "must be an object", "unknown": "is unknown"}

    @post_load
    def drop_absent(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value not in (None, [], {})}


class CustomerSchema(Part):
    name = Text(200, required=True, metadata=about("name used in the greeting"))
    email = MailAddress(required=True, metadata=about("recipient; ASCII before the @"))
    address = Text(1000, lines=True, entities=True, metadata=about("text; for an object, use `shipping_address`"))
    phone = Text(60, numbers=True)


class ItemSchema(Part):
    product_id = Text(100, numbers=True)
    name = Text(500, required=True, entities=True)
    quantity = Number(
        required=True,
        minimum="positive",
        places=3,
        below=Decimal(10) ** 6,
        metadata=about("above 0, with up to three decimals"),
    )
    price = Number(
        required=True,
        minimum="zero",
        negative="must not be negative: send a coupon as `discount`, a gift card or refund in `adjustments`",
        metadata=about("unit price"),
    )
    variant = Text(500, entities=True, metadata=about("size, colour or the like"))
    sku = Text(100, numbers=True)
    image_url = WebUrl(metadata=about("picture of the product"))
    url = WebUrl(metadata=about("link to the product"))
    line_total = Number(minimum="zero", metadata=about("default: price times quantity"))


class AdjustmentSchema(Part):
    label = Text(200, required=True, entities=True, metadata=about("for example Gift card"))
    amount = Number(required=True, metadata=about("negative if it reduces the total"))


class AddressSchema(Part):
    lines = BoundedList(
        Text(200, entities=True), 10, allow_none=True, metadata=about("name, street and so on, as on a parcel")
    )
    city = Text(200, entities=True)
    region = Text(100, entities=True, metadata=about("state, province or prefecture"))
    postcode = Text(20, numbers=True)
    country = Text(100, metadata=about("a name, or an ISO 3166 code, shown as a name in the customer's language"))

    @post_load
    def drop_empty_lines(self, data: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        """Drop blank lines, and a blank address, which shops send for goods that are not shipped."""
        lines = [line for line in data.pop("lines", None) or () if line]
        return {"lines": lines, **data} if lines or data else None


class PostalAddress(fields.Field[dict[str, Any] | None]):
    """An address as text with line breaks, or as an object of lines, city, region, postcode and country."""

    schema = AddressSchema()
    _text = Text(1000, lines=True, entities=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_none=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> dict[str, Any] | None:
        if isinstance(value, str):
            text = self._text.deserialize(value)
            return {"lines": [line.strip() for line in text.split("\n") if line.strip()]} if text else None
        if not isinstance(value, Mapping):
            raise ValidationError("must be a string, or an object of lines, city, region, postcode and country")
        loaded: dict[str, Any] | None = self.schema.load(value)
        return loaded


class OrderSchema(Part):
    """An order. Loading returns the shop's own fields, normalised, and adds nothing."""

    order_id = Text(
        MAX_ORDER_ID_LENGTH,
        required=True,
        numbers=True,
        exact=True,
        validate=_expect_reachable,
        metadata=about("unique forever; the same order sent again causes no second mail"),
    )
    customer = fields.Nested(CustomerSchema, required=True, error_messages=_NESTED_MESSAGES)
    items = BoundedList(fields.Nested(ItemSchema, error_messages=_NESTED_MESSAGES), 500, minimum=1, required=True)
    total = Number(required=True, minimum="zero", metadata=about("shown as given, formatted for the locale"))
    number = Text(128, numbers=True, metadata=about("order number for the customer; default: the order id"))
    order_date = Timestamp(metadata=about("ISO 8601; UTC without a zone; default: now"))
    shipping_method = Text(200, entities=True)
    estimated_delivery = Timestamp(metadata=about("ISO 8601; UTC without a zone"))

    currency = CurrencyCode(metadata=about("three letters like EUR; default: the shop's"))
    locale = LocaleTag(metadata=about("language and formats of the mail, like de-AT"))
    timezone = TimeZoneName(metadata=about("time zone of the mail's dates, like Europe/Vienna"))
    subtotal = Number(minimum="zero")
    discount = Number(metadata=about("amount deducted; its sign is ignored"))
    shipping_cost = Number(minimum="zero")
    tax = Number(minimum="zero")
    tax_included = StrictBoolean(allow_none=True, metadata=about("whether the prices include the tax"))
    tax_label = Text(60, entities=True, metadata=about("name of the tax, like VAT 20%; default: its usual name"))
    adjustments = BoundedList(
        fields.Nested(AdjustmentSchema, error_messages=_NESTED_MESSAGES),
        50,
        allow_none=True,
        metadata=about("fees, tips, gift cards and other changes to the total"),
    )
    billing_address = PostalAddress()
    shipping_address = PostalAddress()
    payment_method = Text(200, entities=True)
    order_url = WebUrl(metadata=about("URL that the mail's button opens"))
    invoice_url = WebUrl(metadata=about("the invoice, as a page or a PDF"))
    withdrawal_url = WebUrl(metadata=about("where the customer withdraws from the contract; default: the shop's"))
    notes = Text(2000, lines=True, entities=True, metadata=about("shown below the order"))
    custom = TextMap(
        Text(1000, numbers=True, lines=True, entities=True),
        20,
        metadata=about("named texts for your own templates"),
    )
    send_before = Timestamp(metadata=about("no mail is sent after this time"))

    @validates_schema(skip_on_field_errors=False)
    def fit_amounts(self, data: dict[str, Any], **_: Any) -> None:
        """Round each amount to the decimals of its currency, in place. A real extra decimal is an error."""
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
        """Make the discount positive. Some shops (Magento) send it with a minus sign."""
        return {**data, "discount": abs(data["discount"])} if data.get("discount") else data


class ResendSchema(Part):
    """The options of a resend. An unknown field is an error: a misspelt `email` must not be ignored."""

    class Meta:
        unknown = RAISE

    is_optional = True
    error_messages = {"unknown": "is unknown: a resend has only email and reason"}

    email = MailAddress(metadata=about("default: the order's own address"))
    reason = Text(200, metadata=about("shown in the history"))


def load_order(schema: OrderSchema, body: Any) -> tuple[dict[str, Any], list[str]]:
    """Validate a decoded JSON body. Returns the normalised order and the pointers of ignored fields.

    Raises InvalidOrder with every error.
    """
    if not isinstance(body, Mapping):
        raise InvalidOrder([FieldError("", "the body must be a JSON object with one order")])
    try:
        order: dict[str, Any] = schema.load(body)
    except ValidationError as exc:
        raise InvalidOrder(field_errors(exc.messages)) from None
    return order, ignored_fields(schema, body)


def field_errors(messages: Any) -> list[FieldError]:
    """Return marshmallow's nested messages as field errors, sorted by pointer."""
    return sorted(_nested_errors(messages), key=lambda error: error.pointer)


def ignored_fields(schema: Schema, body: Mapping[str, Any]) -> list[str]:
    """Return pointers to the fields that the schema does not know."""
    return list(islice(_ignored(schema, body), _MAX_IGNORED))


def _amounts(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, tuple[str | int, ...]]]:
    """Yield each amount as the object that holds it, its name there, and its path."""
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
    """Append a step to a JSON pointer, with ~ and / escaped (RFC 6901)."""
    return f"{prefix}/{str(step).replace('~', '~0').replace('/', '~1')}"


def _nested_errors(messages: Any, prefix: str = "") -> Iterator[FieldError]:
    """Yield marshmallow's nested messages as field errors."""
    if isinstance(messages, Mapping):
        for step, inner in messages.items():
            yield from _nested_errors(inner, prefix if step == "_schema" else _pointer(prefix, step))
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
