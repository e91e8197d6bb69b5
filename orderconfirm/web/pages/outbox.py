"""The outbox's page: counts, the relay's state, and a list of mails with a search."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, abort, current_app, flash, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.models import Delivery, OutboxEntry, State
from orderconfirm.order.schemas import field_errors
from orderconfirm.queries import Overview, QueueStats, Search
from orderconfirm.web.pages import html_problems, login, times
from orderconfirm.web.pages.chart import draw
from orderconfirm.web.pages.timeline import KINDS
from orderconfirm.web.request_schemas import SearchSchema

bp = Blueprint("outbox", __name__, url_prefix="/outbox")
html_problems.init_blueprint(bp)
bp.before_request(login.require_login)
bp.add_app_template_filter(times.ago)
bp.add_app_template_filter(times.duration)
bp.add_app_template_filter(times.utc)

#: Mails on one page.
PAGE_SIZE = 50
#: The states with few mails, which can be counted at any time, in the order of the page.
_COUNTED = (State.QUEUED, State.SENDING, State.UNKNOWN, State.HELD, State.FAILED)
_TROUBLES = (State.FAILED, State.HELD, State.UNKNOWN)
_QUERY = SearchSchema()
#: What the page calls the parameters of a search.
_LABELS = {"/order_id": "the order number", "/email": "the address"}


@dataclass(frozen=True, slots=True)
class Filters:
    """The search of a list as the form has it. `q` is an order number, or an address if it has an @."""

    q: str = ""
    state: str = ""
    delivery: str = ""
    since: str = ""
    until: str = ""

    @property
    def values(self) -> dict[str, str]:
        """The filters that are set, for a URL."""
        return {name: value for name, value in asdict(self).items() if value}

    def search(self) -> Search:
        """Return the search. Raises marshmallow's ValidationError."""
        values = self.values
        if text := values.pop("q", ""):
            values["email" if "@" in text else "order_id"] = text
        query = _QUERY.load(values)
        return Search(
            states=(State(self.state),) if self.state else (),
            deliveries=(Delivery(self.delivery),) if self.delivery else (),
            order_id=query.get("order_id"),
            recipient=query.get("email"),
            since=query.get("since"),
            until=query.get("until"),
        )


@bp.get("")
def show_outbox() -> ResponseReturnValue:
    """Show the counts, the relay's state and a page of mails, newest first."""
    # PostgreSQL refuses a NUL character in a query.
    filters = Filters(**{name: request.args.get(name, "").replace("\0", "").strip() for name in Filters.__slots__})
    cursor = request.args.get("cursor")
    errors: list[str] = []
    entries: list[OutboxEntry] = []
    next_cursor = None
    try:
        _QUERY.load({"cursor": cursor} if cursor else {})
        entries, next_cursor = _confirmations().search(g.shop, filters.search(), cursor, PAGE_SIZE)
    except ValidationError as exc:
        found = field_errors(exc.messages)
        errors = [f"{_LABELS.get(error.pointer, error.pointer[1:])} {error.detail}" for error in found]
    overview = _confirmations().overview(g.shop)
    problem = current_app.extensions["orderconfirm"].problem
    values = {
        "filters": filters,
        "entries": entries,
        "waiting": _confirmations().why_waiting(entries),
        "cursor": cursor,
        "next_cursor": next_cursor,
        "errors": errors,
        "overview": overview,
        "chart": draw(overview.sent_per_minute),
        "counts": {state: overview.stats.mails.get(state, 0) for state in _COUNTED},
        "news": _news(overview, problem),
        "problem": problem,
        "opened": request.args.get("do"),
        "retry": _retry_of(filters, overview.stats),
        "has_several_shops": len({entry.shop for entry in entries}) > 1,
        "states": [state.value for state in State],
        "deliveries": [delivery.value for delivery in Delivery],
    }
    return render_template("outbox.html", shop=g.shop, kinds=KINDS, **values), 422 if errors else 200


@bp.post("/retry")
def retry_all() -> ResponseReturnValue:
    """Make all mails in one state due now, then show the list.

    A script asks for JSON, and sends a request for each batch: the response has the `after` of the next.
    """
    if request.form.get("state") not in State.RETRYABLE:
        abort(400, "Mails in this state cannot be retried.")
    states = [State(request.form["state"])]
    if request.accept_mimetypes.best == "application/json":
        count, after = _confirmations().retry_batch(g.shop, states, request.form.get("after", ""))
        return jsonify({"count": count, "after": after})
    count = sum(_confirmations().retry_all(g.shop, states))
    flash(f"{'1 mail is' if count == 1 else f'{count:,} mails are'} due now.", "good" if count else "bad")
    return redirect(url_for("outbox.show_outbox"), 303)


def _retry_of(filters: Filters, stats: QueueStats) -> dict[str, Any] | None:
    """Return the state whose mails the page offers to retry, and their number: the one of the list, or failed."""
    if filters.values not in ({}, {"state": filters.state}):
        return None
    state = filters.state or State.FAILED.value
    count = stats.mails.get(State(state), 0) if state in State.RETRYABLE else 0
    return {"state": state, "count": count} if count else None


def _news(overview: Overview, problem: str | None) -> str:
    """Return what a screen reader announces when it changes."""
    troubles = [f"{count:,} {state}" for state in _TROUBLES if (count := overview.stats.mails.get(state, 0))]
    if problem:
        relay = "The service has a problem."
    elif overview.pauses:
        relay = " ".join(f"{pause.relay[0].upper()}{pause.relay[1:]} is paused." for pause in overview.pauses)
    else:
        relay = "The relay is in use." if overview.senders else "No process sends mails."
    return f"{relay} {', '.join(troubles) or 'No mail needs attention'}."


def _confirmations() -> OrderConfirmations:
    confirmations: OrderConfirmations = current_app.extensions["orderconfirm"].confirmations
    return confirmations
