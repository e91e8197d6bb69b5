"""The Terraform module: its form, its own tests, and its names in the AWS provider that it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import hcl2
import provider_schema
import service
import terraform_copy
from terraform_reader import State


def test_the_files_are_formatted() -> None:
    code, output = terraform_copy.run("fmt", "-check", "-recursive", "-diff", "-no-color")
    assert code == 0, output


def test_every_rewrite_of_the_copy_is_needed() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in terraform_copy.sources())
    assert not [pattern for pattern, _ in terraform_copy.REWRITES if not re.search(pattern, text)]


def test_the_module_is_valid() -> None:
    code, output = terraform_copy.run("validate", "-no-color", folder=terraform_copy.initialized_copy())
    assert code == 0, output


def test_every_run_of_the_modules_own_tests_passes() -> None:
    report = terraform_copy.report_of_tests()
    runs = [message["test_run"] for message in report if message["type"] == "test_run"]
    status = {run["run"]: run["status"] for run in runs if run["progress"] == "complete"}
    assert len(status) == 5 and set(status.values()) == {"pass"}, report


def test_every_variable_with_an_existing_database_and_another_relay_is_a_setting() -> None:
    state = State(terraform_copy.state_after("an_existing_database_and_another_relay"))
    [container] = json.loads(state.one("ecs_task_definition")["container_definitions"])
    names = {each["name"] for each in (*container["environment"], *container["secrets"])}
    assert {"MAIL_SERVER", "MAIL_USERNAME", "DATABASE_URL"} <= names <= service.settings()


def blocks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources and data sources in all files: their types, as in "data.aws_region", and their contents."""
    for file in terraform_copy.MODULE.rglob("*.tf"):
        content = hcl2.loads(file.read_text(encoding="utf-8"))
        for prefix, section in (("", "resource"), ("data.", "data")):
            for item in content.get(section, []):
                for kind, of_kind in provider_schema.named(item):
                    for _, body in provider_schema.named(of_kind):
                        yield f"{prefix}{provider_schema.unquoted(kind)}", body


def test_every_name_is_one_of_the_provider_that_the_module_asks_for() -> None:
    found = list(blocks())
    assert len(found) > 50
    schemas = provider_schema.read({kind for kind, _ in found})
    mistakes = [f"{kind}: {mistake}" for kind, body in found for mistake in schemas[kind].mistakes(body)]
    text = "".join(file.read_text(encoding="utf-8") for file in terraform_copy.MODULE.rglob("*.tf"))
    read = re.findall(r"\b((?:data\.)?aws_\w+)\.\w+(?:\[[^]]*\])?\.(\w+)", text)
    assert len(read) > 50
    mistakes += [
        f"{kind}.{name} cannot be read"
        for kind, name in read
        if kind in schemas and provider_schema.camel(name) not in schemas[kind].attributes
    ]
    assert not mistakes
