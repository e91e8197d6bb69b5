"""The views of the demo page and of the local inbox."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, current_app, render_template, request

from orderconfirm.settings import Settings
from orderconfirm.smtp.local_inbox import Inbox, InboxMail
from orderconfirm.web.openapi import examples

bp = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")

#: Maximum number of mails on one page of the inbox.
PAGE_SIZE = 100
#: For the service's own pages: nothing from other sites, no inline scripts or styles.
PAGE_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
#: For a mail: inline styles and remote images, no scripts.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'self'"
)


@bp.after_request
def set_content_security_policy(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    return response


@bp.get("/")
def demo() -> str:
    """Show the form that sends an order the way a shop does."""
    settings = _settings()
    if not settings.has_demo_page:
        abort(404)
    return page("demo.html", sample=examples.ORDER, shop=settings.demo_shop)


@bp.get("/inbox")
def inbox() -> str:
    """Show a page of the local inbox, newest mails first."""
    search = request.args.get("search", "")
    skip = max(0, request.args.get("skip", 0, type=int))
    mails, count = _inbox().newest(search, skip, PAGE_SIZE)
    return page("inbox.html", mails=mails, count=count, search=search, skip=skip, step=PAGE_SIZE)


@bp.get("/inbox/<mail_id>")
def inbox_message(mail_id: str) -> str:
    """Show a mail's headers, HTML, text and source."""
    return page("message.html", mail=_mail(mail_id))


@bp.get("/inbox/<mail_id>/html")
def inbox_html(mail_id: str) -> Response:
    """Return only the mail's HTML, for the sandboxed frame."""
    response = Response(_mail(mail_id).html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = MAIL_POLICY
    return response


@bp.get("/inbox/<mail_id>/source")
def inbox_source(mail_id: str) -> Response:
    """Return the message as it was received over SMTP."""
    response = Response(_inbox().source(_mail(mail_id).id) or b"", mimetype="message/rfc822")
    response.headers["Content-Disposition"] = 'attachment; filename="order-confirmation.eml"'
    return response


def page(template: str, **values: Any) -> str:
    """Render a template of a page, with what the layout needs."""
    settings = _settings()
    return render_template(
        template,
        company_name=settings.company_name,
        has_demo=settings.has_demo_page,
        has_outbox=settings.has_outbox_page,
        has_inbox=settings.has_local_inbox,
        has_keys=bool(settings.api_keys),
        **values,
    )


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
