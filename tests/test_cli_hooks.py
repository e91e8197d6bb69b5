"""`flask hooks …` and `flask shops …`, as they are typed beside a running service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from orderconfirm import create_app
from orderconfirm.settings import Settings

Type = Callable[..., Result]

PROFILE = """
name = "Fjord & Field"
sender = "orders@fjord.example"
[webhook]
format = "standard"
secret_file = "{}"
"""


@pytest.fixture
def flask(tmp_path: Path) -> Type:
    """Runs a command in an application whose only shop has one refused webhook."""
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "fjord.toml").write_text(PROFILE.format(tmp_path / "secret"))
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db", "SHOPS_DIR": str(tmp_path / "shops")}
    app = create_app(Settings.from_env(environ))
    runtime = app.extensions["orderconfirm"]
    runtime.database.open()
    runtime.shop_webhooks.take("fjord", "standard", "", b'{"order_id": "7", "total": 1, "customer": {"name": "Ada"}}')
    runtime.database.close()
    runner = app.test_cli_runner()
    return lambda *words: runner.invoke(args=list(words))


def test_the_list_has_the_reason_and_no_body(flask: Type) -> None:
    [line] = flask("hooks", "list").stdout.splitlines()
    assert line.startswith("1  ")
    assert "fjord  standard  refused  7  /customer/email is missing" in line
    assert "Ada" not in line
    assert flask("hooks", "list", "--outcome", "changed").output == "There are no such webhooks.\n"


def test_the_check_of_the_shops_examines_the_profiles(
    flask: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPS_DIR", str(tmp_path / "shops"))
    result = flask("shops", "check")
    assert "complete for 1 shops: fjord" in result.output
    assert "Sender's domain of fjord" in result.output
    assert result.exit_code == 0


def test_json_has_the_body(flask: Type) -> None:
    [webhook] = json.loads(flask("hooks", "list", "--json").stdout)
    assert (webhook["number"], webhook["order_id"], webhook["outcome"]) == (1, "7", "refused")
    assert json.loads(webhook["body"])["order_id"] == "7"


def test_show_prints_the_body_and_replay_takes_it_again(flask: Type) -> None:
    assert '"order_id": "7"' in flask("hooks", "show", "1").output
    replayed = flask("hooks", "replay", "1")
    assert replayed.exit_code == 1
    assert "refused: /customer/email is missing" in replayed.output


@pytest.mark.parametrize("verb", ["show", "replay"])
def test_an_unknown_number_is_named(flask: Type, verb: str) -> None:
    result = flask("hooks", verb, "9")
    assert result.exit_code == 1
    assert "There is no webhook 9" in result.output


def test_shops_are_listed_with_their_webhook(flask: Type) -> None:
    expected = (
        "fjord  Fjord & Field  orders@fjord.example  en  USD  standard, new orders, at /api/webhooks/orders/fjord\n"
    )
    assert flask("shops", "list").output == expected
