"""The settings and the `.env` file: all problems at once, not only the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orderconfirm.checks.findings import Finding, error_of, ok, warning
from orderconfirm.errors import SettingsError
from orderconfirm.settings import Settings, read_dotenv, unknown_names

_CORRECT = "correct it in the environment or in .env"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings as far as they can be read, what was found about them, and the variables with a problem."""

    settings: Settings
    findings: tuple[Finding, ...]
    wrong: frozenset[str]

    def wrong_among(self, prefixes: tuple[str, ...]) -> list[str]:
        """Return the variables with a problem whose names begin with one of `prefixes`."""
        return sorted(name for name in self.wrong if name.startswith(prefixes))


def read_configuration(environ: Mapping[str, str], dotenv: Path) -> Configuration:
    """Return the settings of `environ` and the file `dotenv`, with defaults for those that cannot be read."""
    values, file_problems = _read_file(dotenv)
    settings, problems = Settings.examine({**values, **environ})
    findings = [error_of(".env", problem, "correct the file") for problem in file_problems]
    if not file_problems:
        findings.append(ok(".env", f"{dotenv} sets {len(values)} variables" if values else "no file, or an empty one"))
    findings += [error_of("settings", problem, _CORRECT) for problem in problems]
    if not problems:
        findings.append(ok("settings", f"complete for APP_ENV={settings.environment}"))
    for sentence in unknown_names(environ):
        if _variable(sentence) not in map(_variable, file_problems):
            found, _, guess = sentence.partition(": ")
            findings.append(warning("settings", found, guess or "remove it"))
    return Configuration(settings, tuple(findings), frozenset(map(_variable, problems)))


def _variable(problem: str) -> str:
    """Return the variable that a problem's sentence begins with; it may be followed by `=value`."""
    return problem.split()[0].partition("=")[0]


def _read_file(dotenv: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    try:
        return read_dotenv(dotenv), ()
    except SettingsError as exc:
        return {}, exc.problems
