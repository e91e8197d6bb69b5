"""All checks: run at the same time, each with a time limit, and none able to break the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orderconfirm.checks.configuration import Configuration, read_configuration
from orderconfirm.checks.database import examine_database
from orderconfirm.checks.domain import examine_domain
from orderconfirm.checks.findings import Finding, Section, error, skipped
from orderconfirm.checks.relay import examine_relay
from orderconfirm.checks.service import examine_service
from orderconfirm.checks.shops import examine_shops
from orderconfirm.checks.templates import examine_templates
from orderconfirm.errors import SettingsError
from orderconfirm.logs import mask_addresses, printable, shortened
from orderconfirm.settings import ROOT, Settings
from orderconfirm.shops import ShopProfile, Shops

#: Seconds for all subjects together.
TIME_LIMIT = 25.0
#: Maximum characters of what a check found: a relay or a database may say more.
MAX_FOUND = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """A group of checks, and the prefixes of the variables without which it cannot run."""

    title: str
    examine: Callable[[Settings], Iterator[Finding]]
    needs: tuple[str, ...]


_OF_SERVICE = ("API_KEYS", "HOST", "SENDER", "WEB_CONCURRENCY", "STOP_TIMEOUT", "MAIL_TIMEOUT", "MAIL_MAX")
_OF_RELAY = ("MAIL_", "MAILTRAP_", "EMAIL_SENDER")
SHOPS = Subject("Shops", examine_shops, ("SHOPS_DIR",))
SUBJECTS = (
    Subject("Service", examine_service, _OF_SERVICE),
    Subject("Database", examine_database, ("DATABASE_",)),
    Subject("Templates", examine_templates, ("TEMPLATES_DIR", "DEFAULT_")),
    SHOPS,
    Subject("Relay", examine_relay, _OF_RELAY),
    Subject("Sender's domain", examine_domain, _OF_RELAY),
)


def run_checks(
    environ: Mapping[str, str],
    dotenv: Path = ROOT / ".env",
    subjects: tuple[Subject, ...] = SUBJECTS,
    time_limit: float = TIME_LIMIT,
) -> Iterator[Section]:
    """Yield the findings about each subject, in order, within `time_limit` seconds. Sends no mail, changes nothing.

    Works with any settings: a subject whose variables are wrong is skipped.
    """
    configuration = read_configuration(environ, dotenv)
    profiles = _profiles(configuration.settings)
    clean = _Cleaner([configuration.settings, *(profile.settings for profile in profiles)])
    yield Section("Settings", tuple(map(clean, configuration.findings)))
    give_up_at = time.monotonic() + time_limit
    runs = [_Run(subject, configuration) for subject in (*subjects, *_of_profiles(configuration.settings, profiles))]
    for run in runs:
        yield Section(run.subject.title, tuple(map(clean, run.findings(give_up_at))))


def _profiles(settings: Settings) -> list[ShopProfile]:
    """Return the profiles of the shops; none if one is wrong, which is a finding about the shops."""
    try:
        return list(Shops(settings).profiles.values())
    except SettingsError:
        return []


def _of_profiles(settings: Settings, profiles: Iterable[ShopProfile]) -> Iterator[Subject]:
    """Yield the relay and the sender's domain of each shop that has one of its own, each only once."""
    relays, domains = {settings.relay}, {(settings.relay, settings.sender_domain)}
    for profile in profiles:
        relay, domain = profile.settings.relay, profile.settings.sender_domain
        if relay not in relays:
            yield Subject(f"Relay of {profile.name}", partial(_examine_profile, examine_relay, profile), ())
        if (relay, domain) not in domains:
            yield Subject(f"Sender's domain of {profile.name}", partial(_examine_profile, examine_domain, profile), ())
        relays.add(relay)
        domains.add((relay, domain))


def _examine_profile(
    examine: Callable[[Settings], Iterator[Finding]], profile: ShopProfile, _: Settings
) -> Iterator[Finding]:
    for finding in examine(profile.settings):
        yield replace(finding, advice=profile.in_its_terms(finding.advice))


class _Run:
    """The checks of a subject in a thread, which may hang in the system's DNS lookup and is then abandoned."""

    def __init__(self, subject: Subject, configuration: Configuration) -> None:
        self.subject = subject
        self._settings = configuration.settings
        self._findings: list[Finding] = []
        self._thread = threading.Thread(target=self._examine, name=f"check {subject.title}", daemon=True)
        if wrong := configuration.wrong_among(subject.needs):
            self._findings.append(skipped(subject.title.lower(), f"{', '.join(wrong)} must be right first"))
        else:
            self._thread.start()

    def findings(self, give_up_at: float) -> list[Finding]:
        """Return what was found until the monotonic time `give_up_at`."""
        if self._thread.ident is None:
            return self._findings
        self._thread.join(max(0.0, give_up_at - time.monotonic()))
        found = list(self._findings)
        if self._thread.is_alive():
            name = self.subject.title.lower()
            found.append(error(name, "the rest took too long", "try again; the network or the disk does not respond"))
        return found

    def _examine(self) -> None:
        try:
            for finding in self.subject.examine(self._settings):
                self._findings.append(finding)
        except Exception as exc:  # a check may meet anything, and must not hide the others
            found = f"the check failed: {type(exc).__name__}: {exc}"
            self._findings.append(error(self.subject.title.lower(), found, "the error says what could not be read"))


class _Cleaner:
    """Removes secrets, the local parts of addresses and control characters from findings."""

    def __init__(self, of_all: Collection[Settings]) -> None:
        secret_fields = [each.name for each in fields(Settings) if each.metadata["secret"]]
        secrets = {str(getattr(settings, name)) for settings in of_all for name in secret_fields}
        passwords = {urlsplit(secret).password for secret in secrets if "://" in secret}
        secrets |= {password for each in passwords if each for password in (each, unquote(each))}
        self._secrets = sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)

    def __call__(self, finding: Finding) -> Finding:
        text = " ".join(printable(finding.found).split())
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return replace(finding, found=mask_addresses(shortened(text, MAX_FOUND)))
