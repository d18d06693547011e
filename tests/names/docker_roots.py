"""Docker's roots of the cases: the fixtures, and copies of them to damage."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from tests.cases import FIXTURES
from thinmeta.names.docker.root import DockerRoot, read_docker_root

CASES = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")
CASE = CASES[1]


def state_of(case: str) -> Path:
    return FIXTURES / case / "docker-state"


@cache
def root_of(case: str) -> DockerRoot:
    return read_docker_root(state_of(case))


def copied(folder: Path, case: str = CASE) -> Path:
    """Return a copy of a root that may be written to, in a new folder."""
    shutil.copytree(state_of(case), folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def text_of(case: str, name: str) -> str:
    return (FIXTURES / case / name).read_text()


def json_of(case: str, name: str) -> Any:
    return json.loads(text_of(case, name))


def columns_of(table: str) -> list[dict[str, str]]:
    """Return the rows of a table that Docker printed; its columns begin below their titles."""
    header, *lines = table.splitlines()
    titles = [each for each in header.split("  ") if each.strip()]
    begins = [header.index(title.strip()) for title in titles]
    ends = [*begins[1:], None]
    return [
        {
            title.strip(): line[begin:end].strip()
            for title, begin, end in zip(titles, begins, ends, strict=True)
        }
        for line in lines
    ]
