"""`thinmeta export`: byte for byte what the recorded `docker export` wrote."""

import hashlib
import io
import tarfile

import pytest

from tests.cases import FIXTURES
from tests.conftest import Thinmeta
from tests.docker_cases import ODD, docker_words, recorded_tar
from thinmeta.errors import ExitCode
from thinmeta.names.docker.root import read_docker_root

HASHED = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")


def members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        return opened.getmembers()


@pytest.mark.parametrize("case", HASHED)
def test_a_dead_container_is_exported_as_docker_did(case: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("export", "dead1", *docker_words(case))

    expected = (FIXTURES / case / "docker-export-dead1.sha256").read_text().split()[0]
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert hashlib.sha256(result.stdout_bytes).hexdigest() == expected


@pytest.mark.parametrize("container", ["odd", "never"])
def test_files_of_every_kind_are_exported_as_docker_did(container: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("export", container, *docker_words(ODD))

    assert result.exit_code == ExitCode.DONE
    assert result.stdout_bytes == recorded_tar(f"docker-export-{container}.tar")
    assert result.stderr == (
        "Warning: 1 socket was left out: no tar has it\n" if container == "odd" else ""
    )


def test_from_23_on_owners_have_no_names(thinmeta: Thinmeta) -> None:
    old = recorded_tar("docker-export-odd.tar")

    new = thinmeta("export", "odd", "--as", "23", *docker_words(ODD)).stdout_bytes

    assert {(each.uname, each.gname) for each in members(new)} == {("", "")}
    assert {"ann", "inside", "web-inside"} <= {
        name for each in members(old) for name in (each.uname, each.gname)
    }
    without = [(each.name, each.uid, each.gid, each.mtime, each.size) for each in members(old)]
    assert without == [
        (each.name, each.uid, each.gid, each.mtime, each.size) for each in members(new)
    ]


@pytest.mark.parametrize("image", ["odd:built", "odd:base"])
@pytest.mark.parametrize("by_id", [False, True])
def test_an_image_is_for_save(image: str, by_id: bool, thinmeta: Thinmeta) -> None:
    docker = read_docker_root(FIXTURES / ODD / "docker-state")
    record = docker.called(image).record
    assert record is not None

    result = thinmeta("export", record.device_id if by_id else image, *docker_words(ODD))

    assert result.exit_code == ExitCode.USAGE
    assert result.stdout_bytes == b""
    assert f"{image} is an image: `thinmeta save {image}` writes it" in result.stderr
