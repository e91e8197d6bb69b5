"""The unit for systemd, in line with the service."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
UNIT = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "infra/systemd/orderconfirm.service").read_text("utf-8"), re.MULTILINE))


def default(setting: str) -> str:
    [found] = re.findall(rf"^# {setting}=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    return str(found)


def test_systemd_waits_as_long_as_the_service_may_take_to_stop() -> None:
    assert int(UNIT["TimeoutStopSec"]) >= int(default("STOP_TIMEOUT"))


def test_only_gunicorns_master_gets_the_signal_to_stop() -> None:
    assert UNIT["KillMode"] == "mixed"


def test_the_service_runs_where_its_settings_are() -> None:
    assert UNIT["ExecStart"] == f"{UNIT['WorkingDirectory']}/.venv/bin/gunicorn"
