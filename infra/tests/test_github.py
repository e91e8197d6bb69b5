"""The workflows and forms of .github: valid by their schemas, pinned, and in line with the files they use."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "dependabot": [ROOT / ".github/dependabot.yml"],
}
#: An action at a commit, with its version in a comment, which Dependabot updates as well.
PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
#: A workflow of this repository, at the commit that runs.
OWN = re.compile(r"\./(\.github/workflows/[\w-]+\.yml)")


def load(path: Path) -> dict[str, Any]:
    # BaseLoader: otherwise the key "on" is True.
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # type: ignore[no-any-return]


def jobs() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each job with a name for messages, and the jobs of its workflow."""
    for path in WORKFLOWS:
        siblings = load(path)["jobs"]
        for name, job in siblings.items():
            yield f"{path.name}: {name}", job, siblings


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job, _ in jobs():
        for step in job.get("steps", []):
            yield name, step


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_are_valid_by_the_schema(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema]]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_action_is_pinned_by_its_commit() -> None:
    uses = re.findall(r"^ *(?:- )?uses: (.*)$", "\n".join(path.read_text("utf-8") for path in WORKFLOWS), re.MULTILINE)
    assert uses
    assert [each for each in uses if not PINNED.fullmatch(each) and not OWN.fullmatch(each)] == []


def test_a_job_needs_only_jobs_of_its_workflow() -> None:
    for name, job, siblings in jobs():
        needs = job.get("needs", [])
        assert {needs} <= set(siblings) if isinstance(needs, str) else set(needs) <= set(siblings), name


def test_a_called_workflow_exists_and_gets_its_inputs() -> None:
    called = [(name, job, OWN.fullmatch(job["uses"])) for name, job, _ in jobs() if "uses" in job]
    assert called
    for name, job, match in called:
        assert match, name
        declared = load(ROOT / match[1])["on"]["workflow_call"] or {}
        assert set(job.get("with", {})) == set(declared.get("inputs", {})), name


def test_no_job_has_rights_that_it_does_not_name() -> None:
    assert [path.name for path in WORKFLOWS if load(path)["permissions"] != {}] == []
    assert [name for name, job, _ in jobs() if "permissions" not in job] == []


def test_the_targets_and_files_that_steps_use_exist() -> None:
    scripts = "\n".join(step.get("run", "") for _, step in steps())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", scripts)) <= targets
    files = set(re.findall(r"(?:sh|--requirement|--template-file) (\S+)", scripts))
    assert files
    assert [path for path in files if not (ROOT / path).is_file()] == []


def test_the_image_is_built_with_arguments_that_it_has() -> None:
    [build] = [step for _, step in steps() if step.get("uses", "").startswith("docker/build-push-action@")]
    given = {line.partition("=")[0] for line in build["with"]["build-args"].split("\n") if line}
    arguments = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE))
    assert given <= arguments
    # Without a compiler, which the build does not have, each package needs a wheel for both.
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    assert "--only-binary :all:" in (ROOT / "Dockerfile").read_text("utf-8")


def test_a_deployment_sets_a_parameter_that_the_template_has() -> None:
    scripts = "\n".join(step.get("run", "") for _, step in steps())
    template = (ROOT / "infra/cloudformation/service.yaml").read_text("utf-8")
    set_ = set(re.findall(r'--parameter-overrides "?(\w+)=', scripts))
    assert set_
    assert [name for name in set_ if not re.search(rf"^  {name}:$", template, re.MULTILINE)] == []
