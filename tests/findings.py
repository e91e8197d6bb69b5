"""What checks found, by name."""

from __future__ import annotations

from collections.abc import Iterable

from orderconfirm.checks.findings import Finding


def statuses(findings: Iterable[Finding]) -> dict[str, str]:
    """The status of each finding. Of several with one name, the last."""
    return {finding.name: finding.status.value for finding in findings}


def named(findings: Iterable[Finding], name: str) -> Finding:
    """The only finding with this name."""
    [finding] = [finding for finding in findings if finding.name == name]
    return finding
