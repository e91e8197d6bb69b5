"""The frozen `Settings`: the fields, and the values derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from orderconfirm.errors import SettingsError
from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.settings.addresses import ascii_address
from orderconfirm.settings.checks import contradictions, platform_problems
from orderconfirm.settings.cpus import usable_cpus
from orderconfirm.settings.fields import SettingsFields
from orderconfirm.settings.relay import Relay, select_relay
from orderconfirm.settings.service_fields import ROOT
from orderconfirm.settings.variables import read_fields

#: The built-in templates of the mail.
TEMPLATES = ROOT / "templates"
#: The sender while none is set: a name reserved for examples (RFC 2606).
_SENDER = "orders@shop.example"
#: Signs sessions if SECRET_KEY is not set. gunicorn's master creates it when it reads the settings and its workers
#: inherit it by fork, so all of them use the same key until the service stops.
_KEY_OF_THIS_START = token_hex(32)


@dataclass(frozen=True)
class Settings(SettingsFields):
    """The service's settings."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings in `environ`. Raises SettingsError with all problems, each by its variable."""
        settings, problems = cls.examine(environ)
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def examine(cls, environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
        """Return the settings, with defaults for what cannot be read, and a sentence for each problem."""
        read, problems = read_fields(cls, environ)
        settings = cls(**read)
        unreadable = {problem.split()[0] for problem in problems}
        # A variable that cannot be read keeps its default here, and must not be reported as missing too.
        found = contradictions(settings) + platform_problems(settings, environ)
        problems += [problem for problem in found if problem.split()[0] not in unreadable]
        return settings, problems

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def bind(self) -> str:
        """gunicorn's host:port. Outside production the default is the loopback address."""
        host = self.host or ("0.0.0.0" if self.is_production else "127.0.0.1")  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def graceful_timeout(self) -> int:
        """Seconds until gunicorn kills a stopping worker.

        Less than STOP_TIMEOUT, after which the platform kills gunicorn itself.
        """
        return self.stop_timeout - 5

    @property
    def drain_seconds(self) -> int:
        """Seconds that the mails in flight have to finish. The worker uses the remaining time to close everything."""
        return self.graceful_timeout - 5

    @property
    def has_demo_page(self) -> bool:
        """Whether the compose page is served.

        The page shows orders and sends mails without a key. With API keys or a relay it must be requested explicitly.
        """
        if self.is_production:
            return False
        if self.demo_page is None:
            return not self.api_keys and self.relay is None
        return self.demo_page

    @property
    def demo_shop(self) -> str:
        """The shop that owns the compose page's orders: the shop of the first API key."""
        return self.api_keys[0].shop if self.api_keys else DEFAULT_SHOP

    @property
    def has_outbox_page(self) -> bool:
        """Whether the outbox's page is served."""
        return not self.is_production if self.outbox_page is None else self.outbox_page

    @property
    def signing_key(self) -> str:
        """The key that signs the pages' sessions."""
        return self.secret_key or _KEY_OF_THIS_START

    @property
    def has_local_inbox(self) -> bool:
        """Whether mails stay on this machine, readable at /inbox, because no relay is configured."""
        return self.relay is None

    @property
    def has_mailtrap_headers(self) -> bool:
        """Whether mails have Mailtrap's headers, by which its webhook and the local inbox find an order."""
        if self.mailtrap_headers is not None:
            return self.mailtrap_headers
        is_mailtrap = self.relay is None or self.relay.host.endswith("mailtrap.io")
        return is_mailtrap or bool(self.mailtrap_webhook_secret)

    @property
    def holds_unknown(self) -> bool:
        """Whether a person decides about a mail that may have been sent; otherwise it is sent again."""
        return self.mail_unknown_outcome == "hold"

    @property
    def sender_address(self) -> str:
        """The From address without a name, with its domain in ASCII."""
        return ascii_address(self.from_header.rpartition("<")[2].rstrip("> ")) if self.from_header else _SENDER

    @property
    def sender_domain(self) -> str:
        """The domain of the From address, in ASCII."""
        return self.sender_address.rpartition("@")[2]

    @property
    def sender_name(self) -> str:
        """The From name: the name in EMAIL_SENDER, or the company's."""
        name = self.from_header.rpartition("<")[0].strip()
        is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
        return (name[1:-1] if is_quoted else name) or self.company_name

    @property
    def support_address(self) -> str:
        """The address for replies, with its domain in ASCII."""
        return ascii_address(self.support_email) if self.support_email else self.sender_address

    @property
    def merchant_address(self) -> str:
        """The address of the merchant's copies, with its domain in ASCII; empty without any."""
        return ascii_address(self.merchant_copy_to)

    @property
    def template_folders(self) -> list[Path]:
        """The folders of the mail's templates. The shop's own files take precedence."""
        return [Path(self.templates_dir), TEMPLATES] if self.templates_dir else [TEMPLATES]

    @property
    def has_sender_process(self) -> bool:
        """Whether one process sends the mails of all others."""
        return self.sender_role == "process" if self.sender_role else usable_cpus() > 1

    @property
    def takes_orders(self) -> bool:
        """Whether the service has an API and pages, beside its health checks."""
        return self.sender_role != "only"

    @property
    def processes(self) -> int:
        """How many worker processes the service has."""
        return self.workers + self.has_sender_process if self.takes_orders else 1

    @property
    def max_send_seconds(self) -> int:
        """The maximum duration of a send.

        That is 4 x MAIL_TIMEOUT until the end of the message, and as long again for the reply to it.
        """
        return 8 * self.mail_timeout

    @property
    def lease_seconds(self) -> int:
        """The lease of a claimed mail: the longest send, plus 4 x MAIL_TIMEOUT in which it may wait for a thread."""
        return self.max_send_seconds + 4 * self.mail_timeout

    @property
    def relay(self) -> Relay | None:
        """The relay that mails are sent to, or None when no relay is configured."""
        return select_relay(self)
