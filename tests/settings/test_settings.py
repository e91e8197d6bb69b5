"""The settings: every wrong value is named, no secret is printed, and .env.example is complete."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from orderconfirm.errors import SettingsError
from orderconfirm.settings import OF_ECS, ROOT, Settings, load_environment, unknown_names
from orderconfirm.settings.names import PREFIXES

SECRET = "s3cret-token-of-length"


def problems(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return "\n".join(caught.value.problems)


def printed(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(f"{each:g}" for each in default)
    return str(default).replace(f"{ROOT}/", "")


def test_the_example_file_lists_every_setting_with_its_meaning_and_default() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    listed = [pair for pair in zip(lines, lines[1:], strict=False) if re.match(r"# [A-Z_]+=", pair[1])]
    expected = []
    for each in fields(Settings):
        metadata = each.metadata
        alias = f" (or {metadata['alias']})" if metadata["alias"] else ""
        expected.append((f"# {metadata['meaning']}{alias}", f"# {metadata['env']}={printed(each.default)}"))
    assert listed == expected


def test_the_service_runs_with_the_local_inbox_without_any_variable() -> None:
    settings = Settings.from_env({})
    assert settings.has_local_inbox and settings.has_demo_page
    assert settings.bind == "127.0.0.1:8000"


@pytest.mark.parametrize(
    "environ",
    [
        {"API_KEYS": f"one:{'k' * 16}"},
        {"MAILTRAP_API_TOKEN": SECRET},
        {"MAILTRAP_SANDBOX_USER": "u", "MAILTRAP_SANDBOX_PASSWORD": SECRET},
        {"MAIL_SERVER": "smtp.example"},
    ],
)
def test_keys_or_a_relay_turn_the_demo_page_off_unless_it_is_requested(environ: dict[str, str]) -> None:
    """The page requires no key: anyone who finds it can read the orders and send mails."""
    environ = {"EMAIL_SENDER": "a@b.example", **environ}
    assert not Settings.from_env(environ).has_demo_page
    assert Settings.from_env({**environ, "DEMO_PAGE": "true"}).has_demo_page
    assert "DEMO_PAGE is true" in problems(**environ, APP_ENV="production", DEMO_PAGE="true")


def test_the_outbox_page_is_on_in_development_and_on_request_in_production() -> None:
    production = {"APP_ENV": "production", "MAILTRAP_API_TOKEN": SECRET, "EMAIL_SENDER": "a@b.example"}
    production |= {"API_KEYS": f"one:{'k' * 16}", "SECRET_KEY": "s" * 32}
    assert Settings.from_env({}).has_outbox_page
    assert not Settings.from_env({"OUTBOX_PAGE": "false"}).has_outbox_page
    assert not Settings.from_env(production).has_outbox_page
    assert Settings.from_env({**production, "OUTBOX_PAGE": "true"}).has_outbox_page


def test_a_token_selects_mailtraps_live_relay() -> None:
    relay = Settings.from_env({"MAILTRAP_API_TOKEN": SECRET, "EMAIL_SENDER": "a@b.example"}).relay
    assert relay is not None
    assert (relay.host, relay.port, relay.security, relay.username, relay.password) == (
        "live.smtp.mailtrap.io",
        587,
        "starttls",
        "api",
        SECRET,
    )


def test_sandbox_credentials_select_mailtraps_sandbox() -> None:
    environ = {"MAILTRAP_SANDBOX_USER": "u", "MAILTRAP_SANDBOX_PASSWORD": SECRET, "EMAIL_SENDER": "a@b.example"}
    relay = Settings.from_env(environ).relay
    assert relay is not None
    assert (relay.host, relay.port, relay.username) == ("sandbox.smtp.mailtrap.io", 2525, "u")


@pytest.mark.parametrize(
    ("environ", "security", "port"),
    [
        ({}, "starttls", 587),
        ({"MAIL_USE_SSL": "true"}, "tls", 465),
        ({"MAIL_USE_TLS": "false"}, "none", 25),
        ({"MAIL_PORT": "2525"}, "starttls", 2525),
    ],
)
def test_another_relay_uses_tls_by_default(environ: dict[str, str], security: str, port: int) -> None:
    relay = Settings.from_env({"MAIL_SERVER": "smtp.example", "MAIL_DEFAULT_SENDER": "a@b.example", **environ}).relay
    assert relay is not None
    assert (relay.security, relay.port) == (security, port)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"PORT": "no"}, "PORT must be a whole number"),
        ({"PORT": "70000"}, "PORT must be a port"),
        ({"APP_ENV": "staging"}, "APP_ENV"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ({"BRAND_COLOR": "red"}, "BRAND_COLOR"),
        ({"DEFAULT_CURRENCY": "EURO"}, "DEFAULT_CURRENCY"),
        ({"STRICT_TOTALS": "maybe"}, "STRICT_TOTALS must be true or false"),
        ({"LOGO_URL": "logo.png"}, "LOGO_URL"),
        ({"LOGO_DARK_URL": "https://shop.example/night.png"}, "LOGO_DARK_URL needs LOGO_URL"),
        ({"MAIL_RETRY_DELAYS": "soon"}, "MAIL_RETRY_DELAYS"),
        ({"MAIL_RETRY_DELAYS": "nan"}, "MAIL_RETRY_DELAYS"),
        ({"MAIL_CA_FILE": "/does/not/exist"}, "MAIL_CA_FILE"),
        ({"EMAIL_SENDER": "not an address"}, "EMAIL_SENDER"),
        ({"SUPPORT_EMAIL": "help"}, "SUPPORT_EMAIL"),
        ({"COMPANY_NAME": "A\nBcc: x"}, "COMPANY_NAME"),
        ({"MAIL_SERVER": "smtp.example"}, "EMAIL_SENDER is missing"),
        ({"MAIL_USERNAME": "u"}, "MAIL_USERNAME and MAIL_PASSWORD"),
        ({"MAILTRAP_SANDBOX_USER": "u", "EMAIL_SENDER": "a@b.example"}, "MAILTRAP_SANDBOX_PASSWORD"),
        ({"MAILTRAP_WEBHOOK_SECRET": SECRET, "MAILTRAP_HEADERS": "false"}, "MAILTRAP_HEADERS is false"),
        ({"API_KEYS": ","}, "API_KEYS has no keys"),
        ({"API_KEYS": f"one:{'k' * 16},two:{'k' * 16}"}, "the key of two for another shop"),
        ({"API_KEYS": f"one:{'ü' * 16}"}, "that is not allowed in a header"),
        ({"API_KEYS": f"one:sha256={sha256(b'').hexdigest()}"}, "the SHA-256 of an empty string"),
        ({"API_KEYS": f"one:sha256={sha256(b'').hexdigest().upper()}"}, "API_KEYS has a key for one"),
        ({"API_RATE_LIMIT": "1/0.5s"}, "whole seconds"),
        ({"METRICS_EMF_NAMESPACE": "AWS/ECS"}, "METRICS_EMF_NAMESPACE must be up to 255"),
        ({"RATELIMIT_STORAGE_URL": "memcached://host"}, "RATELIMIT_STORAGE_URL must be redis://"),
        ({"RATELIMIT_STORAGE_URL": "redis://host:x/0"}, "RATELIMIT_STORAGE_URL has a port"),
        ({"MAILTRAP_WEBHOOK_SECRET": "x"}, "MAILTRAP_WEBHOOK_SECRET is shorter"),
        ({"SECRET_KEY": "x" * 31}, "SECRET_KEY is shorter"),
        ({"APP_ENV": "production", "OUTBOX_PAGE": "true"}, "SECRET_KEY is missing"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES must be"),
        ({"MAIL_USE_TLS": "true", "MAIL_USE_SSL": "true"}, "exclude each other"),
        ({"MAILTRAP_API_TOKEN": "t", "MAIL_SERVER": "s", "EMAIL_SENDER": "a@b.example"}, "set only one of them"),
    ],
)
def test_a_wrong_value_is_reported_by_the_name_of_its_variable(environ: dict[str, str], name: str) -> None:
    assert name in problems(**environ)


def test_all_problems_are_reported_at_once() -> None:
    message = problems(PORT="no", BRAND_COLOR="red", APP_ENV="production")
    for name in ("PORT", "BRAND_COLOR", "MAILTRAP_API_TOKEN", "EMAIL_SENDER"):
        assert name in message


def test_a_wrong_value_is_not_also_reported_as_missing() -> None:
    assert problems(APP_ENV="production", API_KEYS="short").count("API_KEYS") == 1


def test_a_password_is_never_sent_unencrypted() -> None:
    environ = {
        "MAIL_SERVER": "smtp.example",
        "MAIL_USERNAME": "u",
        "MAIL_PASSWORD": SECRET,
        "MAIL_USE_TLS": "false",
        "EMAIL_SENDER": "a@b.example",
    }
    message = problems(**environ)
    assert "unencrypted" in message
    assert SECRET not in message


def test_a_secret_may_come_from_a_file_and_is_never_printed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    settings = Settings.from_env({"MAILTRAP_API_TOKEN_FILE": f"{tmp_path}/token", "EMAIL_SENDER": "a@b.example"})
    assert settings.mailtrap_api_token == SECRET
    assert SECRET not in repr(settings) + repr(settings.relay)


def test_the_sender_name_may_contain_a_comma_and_defaults_to_the_company() -> None:
    named = Settings.from_env({"EMAIL_SENDER": "Acme, Inc. <orders@acme.example>"})
    bare = Settings.from_env({"EMAIL_SENDER": "orders@acme.example", "COMPANY_NAME": "Acme"})
    assert (named.sender_name, named.sender_address) == ("Acme, Inc.", "orders@acme.example")
    assert (bare.sender_name, bare.sender_address) == ("Acme", "orders@acme.example")


@pytest.mark.parametrize("name", ["EMAIL_SENDER", "SUPPORT_EMAIL"])
def test_an_address_that_has_no_ascii_form_stops_the_start(name: str) -> None:
    for address in ("bücher@acme.example", "hilfe@bü..cher.example"):
        assert name in problems(**{name: address})


def test_an_internationalised_domain_is_used_in_its_ascii_form() -> None:
    settings = Settings.from_env({"EMAIL_SENDER": "Faß <orders@faß.example>", "SUPPORT_EMAIL": "hilfe@bücher.example"})
    assert settings.sender_address == "orders@xn--fa-hia.example"
    assert settings.support_address == "hilfe@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"MAILTRAP_API_TOKEN": SECRET}, True),
        ({"MAIL_SERVER": "live.smtp.mailtrap.io"}, True),
        ({"MAIL_SERVER": "smtp.other.example"}, False),
        ({"MAIL_SERVER": "smtp.other.example", "MAILTRAP_HEADERS": "true"}, True),
        ({"MAIL_SERVER": "smtp.other.example", "MAILTRAP_WEBHOOK_SECRET": SECRET}, True),
        ({"MAILTRAP_API_TOKEN": SECRET, "MAILTRAP_HEADERS": "false"}, False),
    ],
)
def test_the_headers_of_mailtrap_are_for_mailtrap(environ: dict[str, str], expected: bool) -> None:
    settings = Settings.from_env({"EMAIL_SENDER": "orders@acme.example", **environ})
    assert settings.has_mailtrap_headers is expected


def test_a_sender_without_an_address_is_reported() -> None:
    assert "EMAIL_SENDER" in problems(EMAIL_SENDER="Shop <>", MAIL_SERVER="s")


def test_an_unknown_database_type_is_reported() -> None:
    assert "DATABASE_URL" in problems(DATABASE_URL="mysql://h/d")


@pytest.mark.parametrize(
    "address",
    [
        f"u:p@ss/{SECRET}@h/db",
        f"u:/{SECRET}@h/db",
        f"u:{SECRET}?@h/db",
        f"u:#{SECRET}@h/db",
        f"u@x:{SECRET}@h/db",
    ],
)
def test_a_password_that_would_be_read_as_a_host_stops_the_start_unprinted(address: str) -> None:
    message = problems(DATABASE_URL=f"postgresql://{address}")
    assert message.startswith("DATABASE_URL has a user or password with @, /, ? or #: write these as %40")
    assert SECRET not in message


@pytest.mark.parametrize(
    "text", ["postgresql:///db?user=a%40b", "postgresql://u:p%40%2Fs@h/db", "sqlite:////d/a@b/c.db"]
)
def test_a_database_url_with_quoted_characters_is_read(text: str) -> None:
    assert Settings.from_env({"DATABASE_URL": text}).database_url == text


def test_sqlite_in_a_task_of_ecs_is_refused_unless_it_is_allowed() -> None:
    task = {OF_ECS: "http://169.254.170.2/v4/x", "DATABASE_URL": "sqlite:////data/outbox.db"}
    assert "DATABASE_URL is a SQLite file, and a task of ECS loses its disk" in problems(**task)
    assert "DATABASE_URL is a SQLite file" in problems(**{OF_ECS: task[OF_ECS]})
    Settings.from_env({**task, "ALLOW_SQLITE_ON_ECS": "true"})
    Settings.from_env({**task, "DATABASE_URL": "postgresql:///orders"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "foo"),
        ("DATABASE_URL", "postgresql://u:pw@h:port/db"),
        ("MAIL_CA_FILE", __file__),
        ("MAIL_TIMEOUT", "99999999999"),
        ("MAIL_SERVER", "http://h"),
        ("MAIL_SERVER", "h:25"),
        ("HOST", "a b"),
        ("MAIL_USERNAME", "u"),
    ],
)
def test_a_value_that_would_fail_later_stops_the_start(name: str, text: str) -> None:
    message = problems(**{name: text, "EMAIL_SENDER": "a@b.example", "MAIL_PASSWORD": SECRET})
    assert name in message
    assert SECRET not in message


def test_an_ipv6_address_is_bound_in_brackets() -> None:
    assert Settings.from_env({"HOST": "::1", "PORT": "8080"}).bind == "[::1]:8080"


def test_a_dotenv_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"\.env"):
        load_environment({}, tmp_path / ".env")


def dotenv(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of_file(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_environment({}, dotenv(folder, text))
    return "\n".join(caught.value.problems)


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    path = dotenv(
        tmp_path, "\ufeff# a comment\nexport PORT=81\n\nCOMPANY_NAME='A # B' # c\nHOST=\nLOG_LEVEL=\"ERROR\"\n"
    )
    settings = load_environment({"LOG_LEVEL": "DEBUG"}, path)
    assert (settings.port, settings.company_name, settings.host, settings.log_level) == (81, "A # B", "", "DEBUG")


def test_the_dotenv_file_is_optional(tmp_path: Path) -> None:
    assert load_environment({}, tmp_path / ".env") == Settings()


@pytest.mark.parametrize(
    "line",
    [
        *("MAIL_SERVER: smtp.example", "MAIL_SERVER smtp.example", "MAIL_SERVER", "=smtp.example", "[mail]"),
        *('MAIL_PASSWORD="s3cret-token-of-length', "MAIL_PASSWORD='s3cret-token-of-length' x"),
    ],
)
def test_an_unreadable_line_stops_the_start_and_is_reported_by_its_number(tmp_path: Path, line: str) -> None:
    message = problems_of_file(tmp_path, f"# our relay\n\nPORT=81\n\n\n{line}\nLOG_LEVEL=INFO\n")
    assert ".env, line 6 " in message
    assert "smtp.example" not in message and SECRET not in message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAIL_SEVER", "MAIL_SERVER"),
        ("MAILTRAP_TOKEN", "MAILTRAP_API_TOKEN"),
        ("mail_server", "MAIL_SERVER"),
        ('"MAIL_SERVER"', "MAIL_SERVER"),
        ("EMIAL_SENDER", "EMAIL_SENDER"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("API_KEY", "API_KEYS"),
        ("MAIL_PASSWORD_FILES", "MAIL_PASSWORD_FILE"),
        ("EMAIL_SENDER_FILE", "EMAIL_SENDER"),
    ],
)
def test_a_misspelt_name_in_the_file_stops_the_start_and_the_right_one_is_suggested(
    tmp_path: Path, name: str, meant: str
) -> None:
    message = problems_of_file(tmp_path, f"{name}={SECRET}\n")
    assert message == f"{name} in .env is not a setting: did you mean {meant}?"


def test_all_problems_of_the_file_are_reported_at_once(tmp_path: Path) -> None:
    message = problems_of_file(tmp_path, "MAIL_SEVER=x\nMAIL_XYZZY_PLUGH=x\nwhat\nAPI_KEY=y\n")
    assert message.splitlines() == [
        ".env, line 3 cannot be read: write NAME=value",
        "MAIL_SEVER in .env is not a setting: did you mean MAIL_SERVER?",
        "MAIL_XYZZY_PLUGH in .env is not a setting",
        "API_KEY in .env is not a setting: did you mean API_KEYS?",
    ]


FOREIGN_VARIABLES = {
    **dict.fromkeys(("MAILTRAP_ACCOUNT_ID", "MAILTRAP_SANDBOX_ID", "TEST_DATABASE_URL", "CHROMIUM", "MAIL", "TZ"), "1"),
    **dict.fromkeys(("COMPOSE_PROJECT_NAME", "FLASK_DEBUG", "POSTGRES_PASSWORD", "GUNICORN_CMD_ARGS", "DOMAIN"), "1"),
}


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    path = dotenv(tmp_path, "".join(f"{name}={text}\n" for name, text in FOREIGN_VARIABLES.items()))
    assert load_environment({}, path) == Settings()
    assert unknown_names(FOREIGN_VARIABLES) == []


def test_every_setting_name_is_known() -> None:
    names = re.findall("^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len(fields(Settings))
    assert unknown_names([*names, "MAIL_DEFAULT_SENDER", "MAILTRAP_API_TOKEN_FILE", "MAIL_PASSWORD_FILE"]) == []


def test_a_misspelt_name_in_the_environment_is_reported_and_does_not_stop_the_start() -> None:
    """Other programs share the environment: only a name with one of our prefixes is reported."""
    environ = {"MAIL_SEVER": "x", "mail_port": "1", "API_KEY": "y", "DATABASE_URI": "z", **FOREIGN_VARIABLES}
    assert unknown_names(environ) == [
        "MAIL_SEVER is not a setting: did you mean MAIL_SERVER?",
        "mail_port is not a setting: did you mean MAIL_PORT?",
    ]
    assert Settings.from_env(environ) == Settings()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_that_marks_our_variables_is_that_of_a_setting(prefix: str) -> None:
    assert any(each.metadata["env"].startswith(prefix) for each in fields(Settings))


def test_a_first_word_of_several_settings_marks_our_variables_unless_other_programs_use_it() -> None:
    words = Counter(each.metadata["env"].split("_")[0] for each in fields(Settings))
    assert {f"{word}_" for word, count in words.items() if count > 1} <= {
        *PREFIXES,
        "API_",
        "DATABASE_",
        "DEFAULT_",
        "METRICS_",
    }
