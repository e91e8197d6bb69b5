"""docs/aws.md, held to the templates that it describes."""

from __future__ import annotations

import re
from pathlib import Path

from templates import load, of_type

PAGE = (Path(__file__).parent.parent.parent / "docs/aws.md").read_text(encoding="utf-8")
SERVICE, BOOTSTRAP = load("service.yaml"), load("bootstrap.yaml")


def test_the_page_says_what_to_do_about_each_alarm() -> None:
    table = PAGE.split("## Alarms\n")[1].split("\n## ")[0]
    alarms = of_type(SERVICE, "AWS::CloudWatch::Alarm").values()
    names = {alarm["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-") for alarm in alarms}
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)) == names


def test_the_page_names_parameters_and_outputs_that_the_templates_have() -> None:
    known = {name for each in (SERVICE, BOOTSTRAP) for name in (*each["Parameters"], *each["Outputs"])}
    named = set(re.findall(r"`((?:[A-Z][a-z0-9]+){2,})(?:=[^`]*)?`", PAGE))  # as in `VpcId` and `MinTasks=1`
    given = set(
        re.findall(r"\b((?:[A-Z][a-z0-9]+)+)=", "\n".join(re.findall(r"--parameter-overrides.*(?:\n .*)?", PAGE)))
    )
    assert {"MailtrapWebhook", "Image", "EmailSender"} <= given
    assert (named | given) - known == set()


def test_the_page_reads_outputs_and_resources_that_the_stacks_have() -> None:
    for stack, template in (("orderconfirm", SERVICE), ("orderconfirm-bootstrap", BOOTSTRAP)):
        read = set(re.findall(rf"output {stack} (\w+)", PAGE))
        assert read and read <= set(template["Outputs"])
    assert set(re.findall(r"--logical-resource-id (\w+)", PAGE)) <= set(SERVICE["Resources"])
