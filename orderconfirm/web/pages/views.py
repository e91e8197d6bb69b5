"""What a browser sees: the demo page and the local inbox."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, current_app, render_template, request

from orderconfirm.settings import Settings
from orderconfirm.smtp.local_inbox import Inbox, InboxMail
from orderconfirm.web.openapi import examples

bp = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")

#: Of the inbox, on one page.
MAILS_SHOWN = 100
#: The service's own pages load nothing from elsewhere and run nothing inline.
_PAGE_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
#: A mail has inline styles and remote pictures, and must run nothing at all.
_MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'self'"
)


@bp.after_request
def restrict(answer: Response) -> Response:
    """Tell the browser what these pages may do."""
    answer.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
    return answer


@bp.get("/")
def demo() -> str:
    """The form that sends an order as a shop would."""
    settings = _settings()
    if not settings.has_demo_page:
        abort(404)
    return _page("demo.html", sample=examples.ORDER, shop=settings.demo_shop)


@bp.get("/inbox")
def inbox() -> str:
    """The mails of the local inbox, newest first, some at a time."""
    search = request.args.get("search", "")
    skip = max(0, request.args.get("skip", 0, type=int))
    mails, count = _inbox().newest(search, skip, MAILS_SHOWN)
    return _page("inbox.html", mails=mails, count=count, search=search, skip=skip, step=MAILS_SHOWN)


@bp.get("/inbox/<mail_id>")
def inbox_message(mail_id: str) -> str:
    return _page("message.html", mail=_mail(mail_id))


@bp.get("/inbox/<mail_id>/html")
def inbox_html(mail_id: str) -> Response:
    """The mail's HTML alone, for the sandboxed frame."""
    answer = Response(_mail(mail_id).html, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = _MAIL_POLICY
    return answer


@bp.get("/inbox/<mail_id>/source")
def inbox_source(mail_id: str) -> Response:
    """The message as it came over SMTP."""
    answer = Response(_inbox().source(_mail(mail_id).id) or b"", mimetype="message/rfc822")
    answer.headers["Content-Disposition"] = 'attachment; filename="order-confirmation.eml"'
    return answer


def _page(template: str, **values: Any) -> str:
    settings = _settings()
    return render_template(
        template,
        company_name=settings.company_name,
        has_demo=settings.has_demo_page,
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
