"""Shop profiles: what they replace, and how their faults are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderconfirm.checks.findings import Status
from orderconfirm.checks.shops import examine_shops
from orderconfirm.errors import SettingsError
from orderconfirm.settings import ROOT, Settings
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
