"""One order's page: its timeline, its mail, its data, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from orderconfirm import representation
from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import ContentDeleted, TemplateError, UnreadableOrder, WrongState
from orderconfirm.models import Delivery, OutboxEntry, Resend, State
from orderconfirm.order.money import line_total
from orderconfirm.order.schemas import ResendSchema, field_errors
from orderconfirm.web.pages import html_problems, login
from orderconfirm.web.pages.timeline import KINDS, MEANINGS, timeline
from orderconfirm.web.pages.views import MAIL_POLICY

bp = Blueprint("order", __name__, url_prefix="/outbox")
html_problems.init_blueprint(bp)
bp.before_request(login.require_login)

_UNKNOWN = "This shop has no such order, or its content is deleted."
#: Deliveries after which an address may be suppressed.
_SUPPRESSING = (Delivery.BOUNCED, Delivery.COMPLAINED)
_PATH = "/<shop>/<order_id:order_id>"


@bp.before_request
def refuse_other_shops() -> None:
    """Hide the orders of other shops from a shop that is logged in."""
    if g.shop is not None and (request.view_args or {}).get("shop") != g.shop:
        abort(404, _UNKNOWN)


@bp.get(_PATH)
def show_order(shop: str, order_id: str) -> ResponseReturnValue:
    """Show an order. With `?part=html`, only its mail, for the sandboxed frame; with `?do=…`, the form of an action."""
    entry = _find(shop, order_id)
    if request.args.get("part") == "html":
        return _mail(entry)
    return _page(entry, opened=request.args.get("do", ""))


@bp.post(_PATH)
def change_order(shop: str, order_id: str) -> ResponseReturnValue:
    """Do what the form asks for, and show the order with the result."""
    entry = _find(shop, order_id)
    act = _ACTIONS.get(request.form.get("do", ""))
    if act is None:
        abort(400, "There is no such action.")
    try:
        done = act(shop, order_id)
    except ValidationError as exc:
        errors = {error.pointer[1:]: error.detail for error in field_errors(exc.messages)}
        return _page(entry, opened="resend", errors=errors), 422
    except (WrongState, ContentDeleted) as exc:
        flash(f"Nothing was changed: {exc}.", "bad")
    else:
        flash(done, "good")
    return redirect(url_for("order.show_order", shop=shop, order_id=order_id), 303)


def _retry(shop: str, order_id: str) -> str:
    if not _confirmations().retry(shop, order_id):
        raise WrongState(_why_not_retried(_find(shop, order_id)))
    return "The mail is due now. It keeps its Message-ID."


def _resend(shop: str, order_id: str) -> str:
    values = {name: text for name in ("email", "reason") if (text := request.form.get(name, "").strip())}
    result = _confirmations().resend(Resend(shop, order_id, **ResendSchema().load(values)))
    if result is None:
        raise ContentDeleted("the order is unknown")
    return f"A new mail to {result.entry.recipient} is due now."


def _release(shop: str, order_id: str) -> str:
    address = _find(shop, order_id).recipient
    held = _confirmations().suppressions.release(shop, address) if address else None
    if held is None:
        raise WrongState("the address is not suppressed")
    return "The address is released. Retry sends its held mails."


def _cancel(shop: str, order_id: str) -> str:
    _confirmations().cancel(shop, order_id)
    return "The mail is cancelled and will not be sent."


def _erase(shop: str, order_id: str) -> str:
    _confirmations().erase(shop, order_id)
    return "The order’s personal data is erased. Its number stays known, so that the same order sends no second mail."


#: The result of each is a sentence for the person. They raise WrongState, ContentDeleted or ValidationError.
_ACTIONS: dict[str, Callable[[str, str], str]] = {
    "retry": _retry,
    "release": _release,
    "resend": _resend,
    "cancel": _cancel,
    "erase": _erase,
}


def _why_not_retried(entry: OutboxEntry) -> str:
    if entry.recipient is None:
        return "the order’s content is deleted"
    if entry.state in State.RETRYABLE:
        return "the address is suppressed, so release it first"
    return f"the mail is {entry.state}"


def _allowed(entry: OutboxEntry) -> list[str]:
    """Return the actions that the mail's state allows."""
    has_content = entry.recipient is not None
    possible = {
        "retry": has_content and entry.state in State.RETRYABLE,
        "release": has_content and (entry.state is State.HELD or entry.delivery in _SUPPRESSING),
        "resend": has_content and entry.state not in State.UNDER_WAY,
        "cancel": entry.state in State.CANCELLABLE and not entry.is_erased,
        "erase": entry.state is not State.SENDING and not entry.is_erased,
    }
    return [name for name, is_possible in possible.items() if is_possible]


def _page(entry: OutboxEntry, opened: str, errors: dict[str, str] | None = None) -> str:
    values: dict[str, Any] = {"order": None, "text": None, "fault": None}
    try:
        values["order"] = order = _confirmations().stored_order(entry.shop, entry.order_id)
        is_update = request.args.get("part") == "live"  # which leaves the mail as it is
        values["text"] = _confirmations().render(entry.shop, order).text if order and not is_update else None
    except (UnreadableOrder, TemplateError) as exc:
        values["fault"] = str(exc)
    allowed = _allowed(entry)
    is_pending = entry.state in State.PENDING
    return render_template(
        "order.html",
        shop=g.shop,
        entry=entry,
        problem=current_app.extensions["orderconfirm"].problem if is_pending else None,
        kinds=KINDS,
        meanings=MEANINGS,
        steps=timeline(entry, _confirmations().callbacks.of_order(entry.shop, entry.order_id)),
        allowed=allowed,
        opened=opened if opened in allowed else "",
        errors=errors or {},
        line_total=line_total,
        is_due=entry.state in State.DUE,
        advice=representation.advise(entry),
        waiting=_confirmations().why_waiting([entry]).get(entry.id),
        **values,
    )


def _mail(entry: OutboxEntry) -> Response:
    """Return the HTML of the order's mail as it would be sent now."""
    order = _confirmations().stored_order(entry.shop, entry.order_id)
    if order is None:
        abort(404, _UNKNOWN)
    response = Response(_confirmations().render(entry.shop, order).html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = MAIL_POLICY
    return response


def _find(shop: str, order_id: str) -> OutboxEntry:
    # PostgreSQL refuses a NUL character in a query.
    entry = None if "\0" in f"{shop}{order_id}" else _confirmations().status(shop, order_id)
    if entry is None:
        abort(404, _UNKNOWN)
    return entry


def _confirmations() -> OrderConfirmations:
    confirmations: OrderConfirmations = current_app.extensions["orderconfirm"].confirmations
    return confirmations
