"""The browser's session: a signed cookie with the CSRF token and the login by API key."""

from __future__ import annotations

import hmac
import time

from flask import Flask, current_app, request, session
from flask_wtf.csrf import csrf_meta_tag, generate_csrf, validate_csrf

from orderconfirm.settings import ApiKey, Settings

#: Seconds until a login ends.
LOGIN_SECONDS = 12 * 3600


def init_app(app: Flask, settings: Settings) -> None:
    """Set up the cookie, and the functions with which templates embed the CSRF token."""
    app.secret_key = settings.signing_key
    app.config.update(
        # Cookies ignore the port, so a default name would be shared with other servers on this machine.
        SESSION_COOKIE_NAME="orderconfirm",
        SESSION_COOKIE_SECURE=settings.is_production,
        # Not Strict: a link in an alert or a chat must find the login. Only a POST with a token changes anything.
        SESSION_COOKIE_SAMESITE="Lax",
        # The token is valid as long as its cookie, because a page may stay open for a long time.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.jinja_env.globals.update(csrf_meta_tag=csrf_meta_tag, csrf_token=generate_csrf)


def check_token() -> None:
    """Check the CSRF token of a form. Raises wtforms' ValidationError."""
    validate_csrf(request.form.get("csrf_token"))


def log_in(key: ApiKey) -> None:
    """Begin a new session for the shop of `key`."""
    session.clear()
    session["key"] = _mark(key)
    session["until"] = int(time.time()) + LOGIN_SECONDS


def log_out() -> None:
    session.clear()


def logged_in_key() -> ApiKey | None:
    """Return the key of this session; None without a login, after LOGIN_SECONDS, or when the key was removed."""
    if session.get("until", 0) <= time.time():
        return None
    settings: Settings = current_app.extensions["orderconfirm"].settings
    return next((key for key in settings.api_keys if hmac.compare_digest(_mark(key), session["key"])), None)


def _mark(key: ApiKey) -> str:
    """Return what stands for a key in the cookie: whoever reads it can neither use it as a key nor guess the key."""
    secret = str(current_app.secret_key).encode()
    return hmac.digest(secret, f"login {key.shop} {key.digest}".encode(), "sha256").hex()
