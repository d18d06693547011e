"""`thinmeta tar`: all that files have, as the kernel showed it of the same volume."""

import io
import os
import re
import subprocess
import tarfile
from base64 import b64decode
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cases import FIXTURES
from tests.conftest import Thinmeta
from tests.docker_cases import ODD
from tests.files.recorded import recorded_files
from tests.volume.data_images import Device, devices
from thinmeta.errors import ExitCode

DEVICES = [
    device
    for case in (ODD, "docker-loop-lvm-xfs-64k")
    for device in devices(case)
    if device.device_id in recorded_files(case)
]
LINE = re.compile(rb"(.) (\d+) (\d+):(\d+) (\d+) (-?\d+)(\.\d+) (\..*?) -> (.*)", re.DOTALL)
KINDS = {
    tarfile.REGTYPE: b"f",
    tarfile.DIRTYPE: b"d",
    tarfile.SYMTYPE: b"l",
    tarfile.CHRTYPE: b"c",
    tarfile.BLKTYPE: b"b",
    tarfile.FIFOTYPE: b"p",
}


def written(thinmeta: Thinmeta, device: Device, *others: object) -> bytes:
    options = ["-p", device.metadata, "--data", device.data, "--size", device.size, "--all"]
    result = thinmeta("tar", device.device_id, *options, *others)
    assert result.exit_code == ExitCode.DONE
    return result.stdout_bytes


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def told(archive: tarfile.TarFile) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    for each in archive:
        path = each.pax_headers.get("GNU.sparse.name", each.name)
        first = archive.getmember(each.linkname) if each.islnk() else each
        mtime = Decimal(each.pax_headers.get("mtime", int(each.mtime)))
        found[raw(path.rstrip("/"))] = (
            KINDS[first.type if first.type in KINDS else tarfile.REGTYPE],
            each.mode,
            (each.uid, each.gid),
            None if each.isdir() or each.issym() else first.size,
            mtime,
            raw(each.linkname) if each.issym() else b"",
        )
    return found


def expected(device: Device) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    for line in recorded_files(device.case)[device.device_id].lines:
        if line == b"lines -> ":  # of a name with a line end, which was sorted away from the rest
            continue
        whole = line if b" -> " in line else line + b"\nlines -> "
        match = LINE.fullmatch(whole)
        assert match is not None
        kind, mode, uid, gid, size, seconds, rest, path, target = match.groups()
        if kind != b"s":
            found[path] = (
                kind,
                int(mode, 8),
                (int(uid), int(gid)),
                None if kind in b"dl" else int(size),
                Decimal(seconds.decode()) + Decimal(rest.decode()),
                target,
            )
    return found


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_members_are_what_find_said(device: Device, thinmeta: Thinmeta) -> None:
    archive = written(thinmeta, device)

    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        assert told(opened) == expected(device)


def test_attributes_are_what_getfattr_said(thinmeta: Thinmeta) -> None:
    device = next(each for each in DEVICES if (each.case, each.device_id) == (ODD, 18))
    with tarfile.open(FIXTURES / ODD / "truth/files.tar.xz") as truth:
        file = truth.extractfile("18.xattrs")
        assert file is not None
        text = file.read().decode("utf-8", "surrogateescape")
    expected: dict[str, dict[str, bytes]] = {}
    for block in filter(None, text.split("\n\n")):
        name, *lines = block.splitlines()
        path = re.sub(
            r"\\(\d{3})", lambda found: chr(int(found[1], 8)), name.removeprefix("# file: ")
        )
        expected["./" + path] = {
            key: b64decode(value.removeprefix("0s"))
            for key, value in (line.split("=", 1) for line in lines)
        }

    archive = written(thinmeta, device)

    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        members = opened.getmembers()
    for each in members:
        kept = {
            key.removeprefix("SCHILY.xattr."): raw(value)
            for key, value in each.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        }
        if each.islnk():
            kept = found.get(each.linkname, {})
        if kept:
            found[each.name] = kept
    assert len(expected) == 9
    assert found == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices, and give files away")
def test_gnu_tar_takes_out_what_was_on_the_volume(thinmeta: Thinmeta, tmp_path: Path) -> None:
    device = next(each for each in DEVICES if (each.case, each.device_id) == (ODD, 18))
    words = ["tar", "--numeric-owner", "--warning=no-timestamp", "-xpf", "-", "-C", str(tmp_path)]

    subprocess.run(words, input=written(thinmeta, device), check=True)

    listed = subprocess.run(
        ["find", ".", "-printf", "%y %m %U:%G %s %T@ %p -> %l\n"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    sizeless = re.compile(rb"(?m)^(d \d+ \d+:\d+) \d+ ")
    recorded = [each for each in recorded_files(ODD)[18].lines if not each.startswith(b"s ")]
    assert sorted(sizeless.sub(rb"\1 ", listed).splitlines()) == sorted(
        sizeless.sub(rb"\1 ", b"\n".join(recorded)).splitlines()
    )
    assert (tmp_path / "rootfs/odd-now/sparse").stat().st_blocks <= 16


def test_one_file_is_a_member_of_its_own(thinmeta: Thinmeta) -> None:
    device = next(each for each in DEVICES if (each.case, each.device_id) == (ODD, 18))

    archive = written(thinmeta, device, "/rootfs/odd-now/able")

    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        (member,) = opened.getmembers()
        file = opened.extractfile(member)
        assert file is not None
        assert (member.name, file.read()) == ("able", b"able\n")


def test_a_folder_is_the_root_of_its_archive(thinmeta: Thinmeta) -> None:
    device = next(each for each in DEVICES if (each.case, each.device_id) == (ODD, 18))

    archive = written(thinmeta, device, "rootfs/change/to-folder")

    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        assert opened.getnames() == [".", "./inside"]
