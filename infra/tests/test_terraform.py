"""The Terraform module: its form, its own tests, and its names in the AWS provider that it asks for."""

from __future__ import annotations

import terraform_copy


def test_the_files_are_formatted() -> None:
    code, output = terraform_copy.run("fmt", "-check", "-recursive", "-diff", "-no-color")
    assert code == 0, output


def test_the_module_is_valid() -> None:
    code, output = terraform_copy.run("validate", "-no-color", folder=terraform_copy.initialized_copy())
    assert code == 0, output


def test_every_run_of_the_modules_own_tests_passes() -> None:
    report = terraform_copy.report_of_tests()
    errors = [message["@message"] for message in report if message["@level"] == "error"]
    assert not errors
    [summary] = [message["test_summary"] for message in report if message["type"] == "test_summary"]
    assert summary["status"] == "pass" and summary["passed"] == 4
