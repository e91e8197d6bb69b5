"""`flask check`: what is wrong with a set-up, before or while it runs."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

import click

from orderconfirm.checks.findings import Finding, Section, Status

#: The mark and the colour of each status, and the marks for a terminal without Unicode.
_MARKS = {Status.OK: "✓", Status.WARNING: "!", Status.ERROR: "✗", Status.SKIPPED: "–"}
_ASCII_MARKS = {Status.OK: "+", Status.WARNING: "!", Status.ERROR: "x", Status.SKIPPED: "-"}
_COLORS = {Status.OK: "green", Status.WARNING: "yellow", Status.ERROR: "red", Status.SKIPPED: "bright_black"}
_COUNTED = (Status.ERROR, Status.WARNING)
#: Columns of a name.
_WIDTH = 17


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects: name, status, found and advice.")
def check(as_json: bool) -> None:
    """Find problems with the settings, the database, the templates, the relay and the sender's domain.

    Sends no mail and changes nothing. Takes at most half a minute. The exit code is 1 after an error, otherwise 0.
    """
    # Imported here because the service registers this command, and does not need its libraries.
    from orderconfirm.checks.run import run_checks

    print_findings(run_checks(os.environ), as_json)


def print_findings(sections: Iterable[Section], as_json: bool = False) -> None:
    """Print what the checks find. Raises SystemExit with code 1 after an error."""
    # The findings are printed; the parts that the checks use would log them as well.
    logging.getLogger("orderconfirm").setLevel(logging.CRITICAL)
    findings = _print_json(sections) if as_json else _print_lines(sections)
    if any(finding.status is Status.ERROR for finding in findings):
        raise SystemExit(1)


def _print_json(sections: Iterable[Section]) -> list[Finding]:
    findings = [finding for section in sections for finding in section.findings]
    click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    return findings


def _print_lines(sections: Iterable[Section]) -> list[Finding]:
    """Print each section as soon as it is complete."""
    findings: list[Finding] = []
    marks, arrow = (_MARKS, "→") if _can_print("→".join(_MARKS.values())) else (_ASCII_MARKS, "->")
    for section in sections:
        _echo(click.style(section.title, bold=True))
        for finding in section.findings:
            mark = click.style(marks[finding.status], fg=_COLORS[finding.status])
            advice = f" {arrow} {finding.advice}" if finding.advice else ""
            _echo(f"  {mark} {finding.name:<{_WIDTH}} {finding.found}{advice}")
        findings += section.findings
    counts = Counter(finding.status for finding in findings)
    _echo(", ".join(f"{counts[each]} {each}{'s' * (counts[each] != 1)} ({marks[each]})" for each in _COUNTED))
    return findings


def _echo(text: str) -> None:
    """Print a line, with a question mark for each character that the terminal cannot show."""
    encoding = sys.stdout.encoding or "ascii"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
