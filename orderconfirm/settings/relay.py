"""The SMTP relay that the settings select."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orderconfirm.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Relay:
    """An SMTP server that accepts the mails. `security` is starttls, tls or none."""

    host: str
    port: int
    security: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def select_relay(settings: Settings) -> Relay | None:
    """Return the relay of MAIL_SERVER, of a Mailtrap sandbox or of a Mailtrap token; None when none is set.

    Mailtrap's hosts and ports are those of its SMTP documentation.
    """
    if settings.mail_server:
        return _from_mail_server(settings)
    ca_file = settings.mail_ca_file or None
    if settings.mailtrap_sandbox_user:
        return Relay(
            host="sandbox.smtp.mailtrap.io",
            port=2525,
            security="starttls",
            username=settings.mailtrap_sandbox_user,
            password=settings.mailtrap_sandbox_password,
            ca_file=ca_file,
        )
    if settings.mailtrap_api_token:
        return Relay("live.smtp.mailtrap.io", 587, "starttls", "api", settings.mailtrap_api_token, ca_file)
    return None


def _from_mail_server(settings: Settings) -> Relay:
    if settings.mail_use_ssl:
        security, port = "tls", 465
    elif settings.mail_use_tls is False:
        security, port = "none", 25
    else:
        security, port = "starttls", 587
    return Relay(
        host=settings.mail_server,
        port=settings.mail_port or port,
        security=security,
        username=settings.mail_username or None,
        password=settings.mail_password or None,
        ca_file=settings.mail_ca_file or None,
    )
