"""The schema of a list's query string."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from marshmallow import RAISE, ValidationError, fields, pre_load, validate

from orderconfirm.models import Delivery, State
from orderconfirm.order.fields import DigitsInteger, Text, Timestamp
from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH
from orderconfirm.order.schemas import Part, about
from orderconfirm.order.text_fields import MailAddress


def _several(choices: type[StrEnum], meaning: str) -> fields.String:
    """Return a field for one or several of `choices`, separated by commas."""
    known = [choice.value for choice in choices]
    one = f"({'|'.join(known)})"

    def are_known(text: str) -> None:
        if unknown := [part for part in text.split(",") if part not in known]:
            raise ValidationError(f"{unknown[0][:40]!r} is not one of {', '.join(known)}")

    metadata = {"description": f"{meaning}, or several separated by commas", "pattern": f"^{one}(,{one})*$"}
    return fields.String(metadata=metadata, validate=are_known)


#: A time with `+02:00` whose unescaped `+` was decoded as a space.
_BARE_ZONE = re.compile(r"(\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)\Z")


class SearchSchema(Part):
    """The filters of a list. An unknown parameter is an error: ignoring it would list too much."""

    class Meta:
        unknown = RAISE

    error_messages = {
        "unknown": "is unknown: the parameters of a list are state, delivery, order_id, email, possible_copies, since, "
        "until, cursor and limit"
    }

    @pre_load
    def restore_plus(self, data: Mapping[str, str], **_: Any) -> dict[str, str]:
        """Restore an unescaped `+` that became a space, in addresses and before a time's zone."""
        restored = {"email": data.get("email", "").replace(" ", "+")}
        restored |= {name: _BARE_ZONE.sub(r"\1+\2", data.get(name, "")) for name in ("since", "until")}
        return {**data, **{name: text for name, text in restored.items() if name in data}}

    state = _several(State, "one state")
    delivery = _several(Delivery, "one reported delivery")
    order_id = Text(MAX_ORDER_ID_LENGTH, exact=True, metadata=about("the complete order id"))
    email = MailAddress(metadata=about("the recipient"))
    possible_copies = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        metadata=about("`true`: only mails that may have been sent more than once"),
        error_messages={"invalid": "must be true or false"},
    )
    since = Timestamp(metadata=about("accepted at this time or later, ISO 8601"))
    until = Timestamp(metadata=about("accepted before this time"))
    cursor = fields.String(
        validate=validate.Regexp(
            r"^[0-9]{1,12}(\.[0-9]{1,20})?_[0-9]{1,18}$", error="is not valid: use next_cursor from the previous page"
        ),
        metadata=about("`next_cursor` of the previous page"),
    )
    limit = DigitsInteger(
        metadata=about("maximum number of mails"),
        load_default=50,
        validate=validate.Range(1, 200, error="must be from 1 to 200"),
        error_messages={"invalid": "must be a whole number"},
    )
