"""`thinmeta export`: byte for byte what the recorded `docker export` wrote."""

import hashlib
import io
import tarfile
from functools import cache

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from thinmeta.errors import ExitCode

ODD = "docker-files-direct-lvm-ext4-64k"
HASHED = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")


def words(case: str) -> list[object]:
    docker = FIXTURES / case / "docker-state"
    return ["-p", unpacked(case), "--data", unpacked(case, "data"), "--docker-root", docker]


@cache
def recorded(name: str) -> bytes:
    with tarfile.open(FIXTURES / ODD / "docker-tars.tar.xz") as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        return opened.getmembers()


@pytest.mark.parametrize("case", HASHED)
def test_a_dead_container_is_exported_as_docker_did(case: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("export", "dead1", *words(case))

    expected = (FIXTURES / case / "docker-export-dead1.sha256").read_text().split()[0]
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert hashlib.sha256(result.stdout_bytes).hexdigest() == expected


@pytest.mark.parametrize("container", ["odd", "never"])
def test_files_of_every_kind_are_exported_as_docker_did(container: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("export", container, *words(ODD))

    assert result.exit_code == ExitCode.DONE
    assert result.stdout_bytes == recorded(f"docker-export-{container}.tar")
    assert result.stderr == (
        "Warning: 1 socket was left out: no tar has it\n" if container == "odd" else ""
    )


def test_from_23_on_owners_have_no_names(thinmeta: Thinmeta) -> None:
    old = recorded("docker-export-odd.tar")

    new = thinmeta("export", "odd", "--as", "23", *words(ODD)).stdout_bytes

    assert {(each.uname, each.gname) for each in members(new)} == {("", "")}
    assert {"ann", "inside", "web-inside"} <= {
        name for each in members(old) for name in (each.uname, each.gname)
    }
    without = [(each.name, each.uid, each.gid, each.mtime, each.size) for each in members(old)]
    assert without == [
        (each.name, each.uid, each.gid, each.mtime, each.size) for each in members(new)
    ]
