"""The views of the compose page and of the local inbox."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from orderconfirm.order.samples import LONG, SAMPLES
from orderconfirm.order.serialization import to_request
from orderconfirm.settings import ROOT, Settings
from orderconfirm.smtp.local_inbox import Inbox, InboxMail
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.pages.mail_checks import check_mail

bp = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")

#: Maximum number of mails on one page of the inbox.
PAGE_SIZE = 100
#: Items of the longest sample.
_MANY = 120
#: The orders to start from on the compose page. The first one is shown at the start.
_SHOWN_SAMPLES = {
    "Two items": SAMPLES["two lines"],
    "Small": SAMPLES["smallest"],
    "Every field": SAMPLES["full"],
    "Tax included": SAMPLES["tax included"],
    "Right to left": SAMPLES["right to left"],
    f"{_MANY} items": replace(LONG, items=LONG.items[:_MANY], subtotal=Decimal(9 * _MANY), total=Decimal(9 * _MANY)),
    "Hostile text": SAMPLES["hostile"],
}
#: For the service's own pages: nothing from other sites, no inline scripts or styles.
PAGE_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
#: For a mail: inline styles and remote images, links in new tabs, no scripts. The page around it may measure it.
MAIL_POLICY = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'self'"
)


@bp.before_request
def refuse_other_sites() -> None:
    """Refuse a deletion that another site's page sends. Raises Forbidden."""
    authenticator: Authenticator = current_app.extensions["authenticator"]
    authenticator.refuse_other_sites()


@bp.after_request
def set_content_security_policy(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    return response


@bp.app_context_processor
def layout_values() -> dict[str, Any]:
    """Return what layout.html needs on every page: the name at the top, and the pages that exist."""
    settings = _settings()
    pages = {
        "/": ("Compose", settings.has_demo_page),
        "/inbox": ("Inbox", settings.has_local_inbox),
        "/outbox": ("Outbox", settings.has_outbox_page),
        "/docs": ("API", True),
    }
    return {
        "company_name": settings.company_name,
        "pages": {path: label for path, (label, is_there) in pages.items() if is_there},
        "has_keys": bool(settings.api_keys),
    }


@bp.get("/")
def compose() -> str:
    """Show the form that sends an order the way a shop does, with its mail beside it."""
    settings = _settings()
    if not settings.has_demo_page:
        abort(404)
    return render_template(
        "compose.html",
        samples={label: to_request(order) for label, order in _SHOWN_SAMPLES.items()},
        languages=["en", *sorted(path.name for path in ROOT.glob("templates/locale/*") if path.is_dir())],
        shop=settings.demo_shop,
    )


@bp.get("/mail-frame")
def mail_frame() -> Response:
    """Return the empty document into which the compose page puts the mail."""
    return _mail_response("<!doctype html><title>The mail</title>")


@bp.get("/inbox")
def inbox() -> str:
    """Show a page of the local inbox, newest mails first."""
    search = request.args.get("search", "")
    skip = max(0, request.args.get("skip", 0, type=int))
    mails, count = _inbox().newest(search, skip, PAGE_SIZE)
    has_shops = bool(current_app.extensions["orderconfirm"].shops.profiles)
    found = {"mails": mails, "count": count, "search": search}
    return render_template("inbox.html", **found, skip=skip, step=PAGE_SIZE, has_shops=has_shops)


@bp.post("/inbox/delete")
def delete_all() -> AnyResponse:
    """Delete every mail in the inbox."""
    _inbox().clear()
    return redirect(url_for("pages.inbox"), 303)


@bp.get("/inbox/of/<message_id>")
def inbox_message_of(message_id: str) -> AnyResponse:
    """Lead to the newest mail with a Message-ID."""
    mail_id = _inbox().id_of(message_id)
    if mail_id is None:
        abort(404, "There is no such mail in the inbox.")
    return redirect(url_for("pages.inbox_message", mail_id=mail_id))


@bp.get("/inbox/<mail_id>")
def inbox_message(mail_id: str) -> str:
    """Show a mail with its checks, headers, text and source."""
    mail = _mail(mail_id)
    return render_template("message.html", mail=mail, report=check_mail(mail))


@bp.post("/inbox/<mail_id>/delete")
def delete_message(mail_id: str) -> AnyResponse:
    """Delete one mail."""
    _inbox().delete(mail_id)
    return redirect(url_for("pages.inbox"), 303)


@bp.get("/inbox/<mail_id>/html")
def inbox_html(mail_id: str) -> Response:
    """Return only the mail's HTML, for the sandboxed frame."""
    return _mail_response(_mail(mail_id).html)


@bp.get("/inbox/<mail_id>/source")
def inbox_source(mail_id: str) -> Response:
    """Return the message as it was received over SMTP."""
    response = Response(_inbox().source(_mail(mail_id).id) or b"", mimetype="message/rfc822")
    response.headers["Content-Disposition"] = 'attachment; filename="order-confirmation.eml"'
    return response


def _mail_response(html: str) -> Response:
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = MAIL_POLICY
    return response


def _mail(mail_id: str) -> InboxMail:
    mail = _inbox().find(mail_id)
    if mail is None:
        abort(404, "There is no such mail in the inbox.")
    return mail


def _inbox() -> Inbox:
    inbox: Inbox | None = current_app.extensions["orderconfirm"].inbox
    if inbox is None:
        abort(404, "A relay is configured, so there is no local inbox.")
    return inbox


def _settings() -> Settings:
    settings: Settings = current_app.extensions["orderconfirm"].settings
    return settings
