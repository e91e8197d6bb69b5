"""`flask hooks …` and `flask shops …`, as they are typed beside a running service."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from factories import make_body
from flask import Flask

from orderconfirm import create_app
from orderconfirm.settings import Settings

Type = Callable[..., Result]
Take = Callable[[bytes], object]

PROFILE = """
name = "Fjord & Field"
sender = "orders@fjord.example"
[webhook]
format = "standard"
secret_file = "{}"
"""


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An application with one shop."""
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "fjord.toml").write_text(PROFILE.format(tmp_path / "secret"))
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db", "SHOPS_DIR": str(tmp_path / "shops")}
    return create_app(Settings.from_env(environ))


@pytest.fixture
def take(app: Flask) -> Take:
    """Takes a webhook of the shop, as the service does."""
    runtime = app.extensions["orderconfirm"]

    def take(body: bytes) -> None:
        runtime.database.open()
        runtime.shop_webhooks.take("fjord", "standard", "", body)
        runtime.database.close()

    return take


@pytest.fixture
def flask(app: Flask, take: Take) -> Type:
    """Runs a command in the application, whose shop has one refused webhook."""
    take(b'{"order_id": "7", "total": 1, "customer": {"name": "Ada"}}')
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
    listed = flask("hooks", "list").output
    replayed = flask("hooks", "replay", "1")
    assert replayed.exit_code == 1
    assert "refused: /customer/email is missing" in replayed.output
    assert flask("hooks", "list").output == listed  # the same number and time


def test_a_webhook_without_an_order_id_is_replayed_in_its_place(flask: Type, take: Take) -> None:
    take(b"[]")
    assert flask("hooks", "replay", "2").exit_code == 1
    assert [line.split()[0] for line in flask("hooks", "list").stdout.splitlines()] == ["2", "1"]


def test_a_webhook_whose_order_is_accepted_in_a_replay_is_gone(flask: Type, take: Take, tmp_path: Path) -> None:
    take(json.dumps(make_body(currency="EUR")).encode().replace(b"john.doe@", b"john.doe.at."))
    text = flask("hooks", "show", "2").output
    assert "/customer/email" in text
    with sqlite3.connect(tmp_path / "outbox.db") as database:  # as if the service now understood it
        database.execute("UPDATE webhooks SET body = replace(body, 'doe.at.', 'doe@') WHERE id = 2")
    assert flask("hooks", "replay", "2").output == "accepted\n"
    assert "There is no webhook 2" in flask("hooks", "show", "2").output


@pytest.mark.parametrize("verb", ["show", "replay"])
def test_an_unknown_number_is_named(flask: Type, verb: str) -> None:
    result = flask("hooks", verb, "9")
    assert result.exit_code == 1
    assert "There is no webhook 9" in result.output
    assert "is not in the range" in flask("hooks", verb, "9" * 30).output


def test_shops_are_listed_with_their_webhook(flask: Type) -> None:
    expected = (
        "fjord  Fjord & Field  orders@fjord.example  en  USD  standard, new orders, at /api/webhooks/orders/fjord\n"
    )
    assert flask("shops", "list").output == expected
