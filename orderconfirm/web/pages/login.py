"""The login to the outbox's page with an API key, and the logout."""

from __future__ import annotations

from flask import Blueprint, Response, abort, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from orderconfirm.settings import Settings
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.pages import html_problems, session

bp = Blueprint("login", __name__, url_prefix="/outbox")
html_problems.init_blueprint(bp)


@bp.before_request
def need_keys() -> None:
    """Without API keys there is nothing to log in with, and the page is open."""
    if not _settings().api_keys:
        abort(404)


@bp.get("/login")
def show_login() -> ResponseReturnValue:
    """Show the form that asks for an API key."""
    return redirect(_target()) if session.logged_in_key() else render_template("login.html", target=_target())


@bp.post("/login")
def log_in() -> ResponseReturnValue:
    """Log in with an API key, and go to the page that was asked for."""
    session.check_token()
    authenticator: Authenticator = current_app.extensions["authenticator"]
    key = authenticator.find_key(request.form.get("key", "").strip())
    if key is None:
        return render_template("login.html", target=_target(), is_wrong=True), 401
    session.log_in(key)
    return redirect(_target(), 303)


@bp.post("/logout")
def log_out() -> Response:
    """End the session."""
    session.check_token()
    session.log_out()
    return redirect(url_for("login.show_login"), 303)  # type: ignore[return-value]


def require_login() -> ResponseReturnValue | None:
    """Before a request to the outbox's pages: ask for a login if there are API keys, and check the token of a form.

    `g.shop` is then the shop whose orders may be seen and changed; without keys it is None, for all.
    """
    g.shop = None
    if _settings().api_keys:
        key = session.logged_in_key()
        if key is None:
            target = request.environ.get("RAW_URI") if request.method == "GET" else None
            return redirect(url_for("login.show_login", next=target), 303)
        g.shop = key.shop
    if request.method == "POST":
        session.check_token()
    return None


def _target() -> str:
    """Return the page to go to: only one of the outbox, so that no link to the login leads to another site."""
    home = url_for("outbox.show_outbox")
    target = request.values.get("next", "")
    return target if target.startswith((f"{home}/", f"{home}?")) else home


def _settings() -> Settings:
    settings: Settings = current_app.extensions["orderconfirm"].settings
    return settings
