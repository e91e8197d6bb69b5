"""The schema of a list's query string."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, ValidationError, fields, pre_load, validate

from orderconfirm.models import State
from orderconfirm.order.fields import DigitsInteger, Timestamp
from orderconfirm.order.schemas import Part, about
from orderconfirm.order.text_fields import MailAddress

_STATE = "|".join(state.value for state in State)
_SOME_STATES = f"^({_STATE})(,({_STATE}))*$"


def _known_states(text: str) -> None:
    known = [state.value for state in State]
    if unknown := [part for part in text.split(",") if part not in known]:
        raise ValidationError(f"{unknown[0][:40]!r} is not one of {', '.join(known)}")


#: A time with `+02:00` whose unescaped `+` was decoded as a space.
_BARE_ZONE = re.compile(r"(\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)\Z")


class SearchSchema(Part):
    """The filters of a list. An unknown parameter is an error: ignoring it would list too much."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "is unknown: a list takes state, email, since, until, cursor and limit"}

    @pre_load
    def restore_plus(self, data: Mapping[str, str], **_: Any) -> dict[str, str]:
        """Restore an unescaped `+` that became a space, in addresses and before a time's zone."""
        restored = {"email": data.get("email", "").replace(" ", "+")}
        restored |= {name: _BARE_ZONE.sub(r"\1+\2", data.get(name, "")) for name in ("since", "until")}
        return {**data, **{name: text for name, text in restored.items() if name in data}}

    state = fields.String(
        metadata={"description": "one state, or several with commas", "pattern": _SOME_STATES},
        validate=_known_states,
    )
    email = MailAddress(metadata=about("the recipient"))
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
