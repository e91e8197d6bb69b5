"""Shop profiles: what they replace, and how their faults are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orderconfirm.checks.findings import Status
from orderconfirm.checks.shops import examine_shops
from orderconfirm.errors import SettingsError, TemplateError
from orderconfirm.mail.shop_renderers import ShopRenderers
from orderconfirm.order.samples import SMALLEST
from orderconfirm.settings import ROOT, ByLanguage, Relay, Settings
from orderconfirm.settings.values import Rate
from orderconfirm.shops import Shops

SECRET = "0123456789abcdef0123456789abcdef"
ENVIRON = {"FJORD_SECRET": SECRET, "SHORT": "short", "WHSEC": f"whsec_{'A' * 32}"}


def read(folder: Path, text: str, name: str = "fjord.toml") -> Shops:
    (folder / name).write_text(text, encoding="utf-8")
    return Shops(Settings(shops_dir=str(folder), company_name="Everyone", brand_color="#101010"), ENVIRON)


def problems(folder: Path, text: str, name: str = "fjord.toml") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(folder, text, name)
    assert all(SECRET not in problem for problem in caught.value.problems)
    assert all(problem.startswith(f"{folder / name}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{folder / name}: ") for problem in caught.value.problems]


def test_a_profile_replaces_the_settings_that_it_names(tmp_path: Path) -> None:
    shops = read(tmp_path, 'name = "Fjord"\nlocale = "de"\ncurrency = "eur"\ntimezone = "Europe/Oslo"')
    profile = shops["fjord"]
    assert (profile.settings.company_name, profile.settings.brand_color) == ("Fjord", "#101010")
    assert profile.order_defaults == {"currency": "EUR", "locale": "de", "timezone": "Europe/Oslo"}
    assert shops["another"].settings.company_name == "Everyone"


def test_secrets_come_from_variables_and_files_several_at_once(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("another-secret-of-this-length\n")
    text = f'[webhook]\nformat = "shopify"\nsecret_env = "FJORD_SECRET"\nsecret_file = ["{file}"]\ntrigger = "paid"'
    webhook = read(tmp_path, text)["fjord"].webhook
    assert webhook is not None
    assert webhook.secrets == (SECRET, "another-secret-of-this-length")
    assert webhook.only_paid
    assert SECRET not in repr(webhook)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "it is not TOML"),
        ('nme = "Fjord"', "nme is not known: did you mean name?"),
        ("name = 7", "name must be text in quotes"),
        ('merchant_copy_to = "nobody"', "merchant_copy_to must be an address like sales@shop.example"),
        ("legal_text = 7", "legal_text must be text in quotes"),
        ("[legal_text]\nde = 7", "legal_text.de must be text in quotes"),
        (f'[legal_text]\nde = "{10_001 * "x"}"', "legal_text.de must have at most 10,000 characters"),
        ('[withdrawal_url]\nde = "shop.example"', "withdrawal_url.de must start with https:// or http://"),
        ('brand_color = "red"', "brand_color must be a colour like #0b5fff"),
        ('sender = "nobody"', "sender must be like orders@shop.example or Shop <orders@shop.example>"),
        ('timezone = "Oslo"', "timezone must be a time zone like Europe/Oslo"),
        ('templates = "/nowhere"', "templates is not a folder"),
        ('webhook = "x"', "webhook must be a table: [webhook]"),
        ('[webhook]\nformat = "magento"', "webhook.format must be one of woocommerce, shopify"),
        ('[webhook]\nformat = "shopify"', "webhook.secret_env is missing"),
        ('[webhook]\nformat = "shopify"\nsecret_env = "NONE"', "the variable NONE must hold a secret of at least 16"),
        ('[webhook]\nformat = "shopify"\nsecret_env = "SHORT"', "the variable SHORT must hold a secret of at least 16"),
        ('[webhook]\nformat = "shopify"\nsecret_file = "/no"', "the file /no must hold a secret of at least 16"),
        (
            '[webhook]\nformat = "shopify"\nsecret_env = 7',
            "webhook.secret_env must be text in quotes, or a list of texts",
        ),
        (
            '[webhook]\nformat = "shopify"\nsecret_env = "FJORD_SECRET"\ntrigger = "shipped"',
            "webhook.trigger must be created or paid",
        ),
        (
            '[webhook]\nformat = "standard"\nsecret_env = "FJORD_SECRET_"\n',
            "the variable FJORD_SECRET_ must hold a secret",
        ),
        ('[callback]\nurl = "https://x.example"', "callback.secret_env is missing"),
        (
            '[callback]\nurl = "https://x.example"\nsecret_env = "FJORD_SECRET"',
            "the variable FJORD_SECRET must be whsec_",
        ),
        ('[callback]\nurl = "x.example"\nsecret_env = "WHSEC"', "callback.url must be a URL like https://"),
        ('[callback]\nurl = "http://x.example"\nsecret_env = "WHSEC"', "callback.url must be https:// and public"),
        ('[callback]\nurl = "https://10.0.0.5/x"\nsecret_env = "WHSEC"', "callback.url must be https:// and public"),
        ('[webhook]\nformats = "shopify"', "webhook.formats is not known: did you mean format?"),
    ],
)
def test_a_fault_is_named_with_its_file(tmp_path: Path, text: str, problem: str) -> None:
    assert any(each.startswith(problem) for each in problems(tmp_path, text))


RELAY = '[relay]\nserver = "smtp.fjord.example"\n'


def with_relay(folder: Path, text: str, name: str = "fjord.toml", **changes: Any) -> Shops:
    """Read a profile beside a service that has a relay."""
    (folder / name).write_text(text, encoding="utf-8")
    common = {"mail_server": "smtp.shop.example", "from_header": "orders@shop.example", "mail_max_connections": 7}
    settings = Settings(shops_dir=str(folder), **{**common, **changes})
    return Shops(settings, {**ENVIRON, "TOKEN": "t0ken"})


def test_a_relay_of_its_own_takes_no_login_and_no_rate_from_the_settings(tmp_path: Path) -> None:
    text = f'{RELAY}port = 465\nsecurity = "tls"\nusername = "fjord"\npassword_env = "FJORD_SECRET"'
    shops = with_relay(tmp_path, text, mail_username="service", mail_password="x", mail_rate_limit=Rate(1, 1))
    profile = shops["fjord"]
    assert profile.settings.relay == Relay("smtp.fjord.example", 465, "tls", "fjord", SECRET)
    assert (profile.settings.mail_max_connections, profile.settings.mail_rate_limit) == (7, None)
    assert (shops.account_of("fjord"), shops.account_of("another"), shops.own_accounts) == ("fjord", "", ["fjord"])
    assert SECRET not in repr(profile)


def test_a_token_of_mailtrap_is_a_relay(tmp_path: Path) -> None:
    relay = with_relay(tmp_path, '[relay]\nmailtrap_token_env = "TOKEN"')["fjord"].settings.relay
    assert relay == Relay("live.smtp.mailtrap.io", 587, "starttls", "api", "t0ken")


def test_shops_with_the_same_login_share_an_account(tmp_path: Path) -> None:
    with_relay(tmp_path, RELAY, "kiln.toml")
    shops = with_relay(tmp_path, RELAY)
    assert (shops.account_of("fjord"), shops.account_of("kiln"), shops.own_accounts) == ("fjord", "fjord", ["fjord"])
    assert with_relay(tmp_path, "", "kiln.toml", mail_server="smtp.fjord.example").own_accounts == []


def test_shops_with_the_same_login_have_the_same_limits(tmp_path: Path) -> None:
    with_relay(tmp_path, RELAY)
    with pytest.raises(SettingsError) as caught:
        with_relay(tmp_path, f'{RELAY}rate_limit = "10/s"', "kiln.toml")
    [problem] = caught.value.problems
    assert problem.startswith(f"{tmp_path}/kiln.toml: relay has the login of fjord, so max_connections and rate_limit")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('relay = "x"', "relay must be a table: [relay]"),
        ("[relay]", "relay.server or relay.mailtrap_token_env is missing"),
        (f"{RELAY}port = 70000", "relay.port must be"),
        (f"{RELAY}port = true", "relay.port must be text in quotes"),
        (f'{RELAY}security = "ssl"', "relay.security must be one of starttls, tls, none"),
        (f'{RELAY}rate_limit = "many"', "relay.rate_limit must be"),
        (f'{RELAY}username = "fjord"', "relay.username and relay.password_env belong together"),
        (f'{RELAY}password_env = "NONE"', "the variable NONE must hold the secret of relay.password"),
        (f'{RELAY}password_file = "/no"', "the file /no must hold the secret of relay.password"),
        (f'{RELAY}mailtrap_token_env = "TOKEN"', "relay.server and relay.mailtrap_token_env each select a relay"),
        (
            f'{RELAY}security = "none"\nusername = "fjord"\npassword_env = "TOKEN"',
            "relay.security is false, so relay.password_env would be sent unencrypted",
        ),
        (f'{RELAY}user = "fjord"', "relay.user is not known: did you mean username?"),
    ],
)
def test_a_fault_of_a_relay_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        with_relay(tmp_path, text)
    found = [each.removeprefix(f"{tmp_path}/fjord.toml: ") for each in caught.value.problems]
    assert any(each.startswith(problem) for each in found), found
    assert all(secret not in each for each in found for secret in (SECRET, "t0ken"))


def test_without_a_relay_of_the_service_the_mails_of_all_shops_go_to_the_local_inbox(tmp_path: Path) -> None:
    shops = read(tmp_path, f'{RELAY}password_env = "NONE"')
    assert (shops.account_of("fjord"), shops["fjord"].settings.relay) == ("", None)


def test_a_standard_secret_must_be_base64(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_not base64 at all!")
    text = f'[webhook]\nformat = "standard"\nsecret_file = "{tmp_path / "secret"}"'
    assert problems(tmp_path, text) == [
        f"the file {tmp_path / 'secret'} must be whsec_ and base64, as Standard Webhooks has it"
    ]


def test_a_file_s_name_must_be_a_shop_s(tmp_path: Path) -> None:
    assert problems(tmp_path, 'name = "X"', "my shop.toml")[0].startswith("the file's name is the shop's")


def test_all_faults_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("nme = 1")
    (tmp_path / "b.toml").write_text("name = 1\nlogo = 2")
    with pytest.raises(SettingsError) as caught:
        Shops(Settings(shops_dir=str(tmp_path)), {})
    assert len(caught.value.problems) == 3


def test_a_legal_text_is_that_of_the_locale_else_of_the_language_else_of_the_setting(tmp_path: Path) -> None:
    (tmp_path / "fjord.toml").write_text(
        '[legal_text]\nde = "Recht"\nde-AT = "Recht in Wien"\nzh-TW = "法"\nno = "Lov"'
    )
    settings = Settings(shops_dir=str(tmp_path), legal_text=ByLanguage("Law"))
    renderer = ShopRenderers(settings, Shops(settings, {}))["fjord"]
    expected = {"de": "Recht", "de-CH": "Recht", "de_AT": "Recht in Wien", "zh_Hant_TW": "法", "nn": "Lov", "fr": "Law"}
    for locale, text in expected.items():
        email = renderer.render(replace(SMALLEST, locale=locale))
        assert f"\n{text}\n\n-- \n" in email.text
        assert f">{text}</div>" in email.html


def test_a_withdrawal_link_of_the_order_beats_the_shop_s(tmp_path: Path) -> None:
    (tmp_path / "fjord.toml").write_text('withdrawal_url = "https://fjord.example/withdraw"')
    settings = Settings(shops_dir=str(tmp_path))
    renderer = ShopRenderers(settings, Shops(settings, {}))["fjord"]
    own = "https://fjord.example/withdraw/1?guest=xyz"
    for order, url in ((SMALLEST, "https://fjord.example/withdraw"), (replace(SMALLEST, withdrawal_url=own), own)):
        email = renderer.render(order)
        assert f"Withdraw from contract here:\n{url}\n" in email.text
        assert f'href="{url}"' in email.html


@pytest.mark.parametrize("name", ["legal_text", "withdrawal_url"])
def test_a_text_in_an_unknown_language_stops_the_start_with_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "fjord.toml").write_text(f'[{name}]\nde = "https://x.example"\ngerman = "https://x.example"')
    settings = Settings(shops_dir=str(tmp_path))
    with pytest.raises(TemplateError, match=f"^shop fjord: {name}.german: the language is not one of ar, cs,"):
        ShopRenderers(settings, Shops(settings, {}))
    [finding] = examine_shops(settings)
    assert finding.status is Status.ERROR and f"{name}.german" in finding.found


def test_a_folder_that_is_missing_is_a_fault_of_the_setting() -> None:
    with pytest.raises(SettingsError, match="SHOPS_DIR is not a folder"):
        Settings.from_env({"SHOPS_DIR": "/nowhere"})


def test_the_example_profile_is_valid() -> None:
    shops = Shops(Settings(shops_dir=str(ROOT / "shops")), {"FJORD_WEBHOOK_SECRET": SECRET})
    assert shops["example"].settings.company_name == "Fjord & Field"


def test_the_check_names_every_fault(tmp_path: Path) -> None:
    (tmp_path / "fjord.toml").write_text("nme = 1\nname = 2")
    findings = list(examine_shops(Settings(shops_dir=str(tmp_path))))
    assert [each.status for each in findings] == [Status.ERROR, Status.ERROR]
    assert all("fjord.toml" in each.found for each in findings)
