"""The OpenAPI document: complete, with valid examples, and true for every operation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from processes import free_port, service
from smtp_server import smtp_server

from orderconfirm import create_app
from orderconfirm.settings import Settings
from orderconfirm.version import VERSION
from orderconfirm.web import problem_types
from orderconfirm.web.request_parsing import decode

#: Random requests to each operation, besides those at every limit, and random sequences of requests.
EXAMPLES = 12
#: The operations, in groups that are tested in one go. Those that take long stand alone.
GROUPS = (
    ("place_order",),
    ("preview_order",),
    ("take_mailtrap_events", "take_shop_order"),
    ("list_orders", "show_order", "resend_order", "cancel_order", "erase_order"),
)
KEY, SECRET = "a-key-for-schemathesis", "a-secret-for-schemathesis"
CONFIG = f"""
hooks = "schemathesis_hooks.py"

[auth.openapi.bearer]
bearer = "{KEY}"

[auth.openapi.key]
api_key = "{KEY}"

# The service also checks what JSON Schema cannot express: the decimals of a currency, time zones, calendar dates, and
# the state of an order.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "404", "409", "410", "422"]

# A value may be refused for its size before it is validated.
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "410", "413", "414", "415", "422", "429", "431"]
"""


#: The shop whose orders `take_shop_order` takes; schemathesis_hooks.py signs them.
PROFILE = """
[webhook]
format = "woocommerce"
secret_env = "WEBHOOK_SECRET"
"""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    client = create_app(Settings.from_env({})).test_client()
    document: dict[str, Any] = decode(client.get("/openapi.json").get_data())  # refuses repeated names
    return document


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the content object of every body in the document."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            for place, part in (("request", operation.get("requestBody", {})), *operation["responses"].items()):
                for mimetype, content in part.get("content", {}).items():
                    yield f"{method} {path} {place} {mimetype}", content


def test_the_document_has_the_version_of_the_service(document: dict[str, Any]) -> None:
    assert document["info"]["version"] == VERSION


def test_every_response_is_described_and_only_a_204_has_no_body(document: dict[str, Any]) -> None:
    operations = [op for path in document["paths"].values() for name, op in path.items() if name != "parameters"]
    assert {operation["operationId"] for operation in operations} == set(chain(*GROUPS))
    for operation in operations:
        assert operation["operationId"] and operation["summary"]
        for status, response in operation["responses"].items():
            assert response["description"]
            assert ("content" in response) == (status != "204"), (operation["operationId"], status)


def test_every_body_has_examples_which_are_valid(document: dict[str, Any]) -> None:
    places = dict(contents(document))
    assert len(places) > 70
    for place, content in places.items():
        examples = [each["value"] for each in content.get("examples", {}).values()]
        if "example" in content:
            examples.append(content["example"])
        assert examples, place
        validator = jsonschema_rs.Draft202012Validator({**content["schema"], "components": document["components"]})
        for example in examples:
            assert validator.is_valid(example), (place, next(validator.iter_errors(example)).message)


def test_every_problem_type_is_in_the_document(document: dict[str, Any]) -> None:
    every = {value for value in vars(problem_types).values() if isinstance(value, problem_types.ProblemType)}
    assert set(problem_types.ALL) == every
    assert len({each.type for each in every}) == len(every)
    assert {each.type for each in every} < set(
        document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    )
    for each in every:
        assert f"| `{each.name}` | {each.status} |" in document["info"]["description"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A service and its folder, for all operations."""
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    (folder / "schemathesis.toml").write_text(CONFIG)
    hooks = Path(__file__).with_name("schemathesis_hooks.py")
    (folder / hooks.name).write_text(hooks.read_text())
    (folder / "shops").mkdir()
    (folder / "shops" / "shop.toml").write_text(PROFILE)
    more = {
        "API_KEYS": f"shop:{KEY}",
        "MAILTRAP_WEBHOOK_SECRET": SECRET,
        "WEBHOOK_SECRET": SECRET,
        "SHOPS_DIR": str(folder / "shops"),
        "LOG_LEVEL": "ERROR",
    }
    with smtp_server() as (_, relay_port), service(folder, port, relay_port, **more):
        yield folder, port


def run_schemathesis(running: tuple[Path, int], *options: str) -> None:
    folder, port = running
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{port}/openapi.json"),
            *("--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "2025", *options),
        ],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "WEBHOOK_SECRET": SECRET},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "Traceback" not in (folder / "service.log").read_text()


@pytest.mark.parametrize("operations", GROUPS, ids=", ".join)
def test_an_operation_does_what_the_document_says(running: tuple[Path, int], operations: Collection[str]) -> None:
    """schemathesis with all its checks, against a running service."""
    included = [word for each in operations for word in ("--include-operation-id", each)]
    run_schemathesis(running, *included, "--phases", "examples,coverage,fuzzing")


def test_operations_one_after_another_do_what_the_document_says(running: tuple[Path, int]) -> None:
    run_schemathesis(running, "--phases", "stateful")
