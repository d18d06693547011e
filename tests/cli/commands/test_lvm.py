"""`thinmeta lvm`: what lvs printed for a real group, and what its disk still has of before."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Thinmeta
from tests.lvm.lvm_disks import REAL, changed_disk, real_disk, texts_on, without_volume
from tests.lvm.lvm_images import SECTOR, dashed, lvm_crc, uuid_of
from thinmeta.errors import ExitCode

TEXT = (REAL / "vgcfgbackup.txt").read_text()
UNITS = {"m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
IDS = re.findall(r'^\t+id = "(.*)"', TEXT, flags=re.MULTILINE)
"""Of the group, then of its disk, then of its volumes."""


def listed(thinmeta: Thinmeta, *words: object) -> dict[str, list[dict[str, Any]]]:
    result = thinmeta("lvm", "-f", "json", *words)
    assert result.exit_code == ExitCode.DONE, result.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for line in result.stdout.splitlines():
        each = json.loads(line)
        found.setdefault(each.pop("type"), []).append(each)
    assert found.pop("end") == [{}]
    return found


def commands_in(text: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("thinmeta ")]


def test_all_that_lvs_prints_is_there(thinmeta: Thinmeta) -> None:
    rows = json.loads((REAL / "lvs.json").read_text())["report"][0]["lv"]
    sizes: dict[str, int] = {}
    for row in rows:  # of a volume with several segments, a row each
        sizes[f"vgthin/{row['lv_name'].strip('[]')}"] = round(
            float(row["lv_size"][:-1]) * UNITS[row["lv_size"][-1]]
        )
    found = listed(thinmeta, real_disk())
    assert {each["name"]: each["size"] for each in found["volume"] if not each["version"]} == sizes
    ids = {f"vgthin/{row['lv_name']}": row["thin_id"] for row in rows if row.get("thin_id")}
    thin = [each for each in found["volume"] if each["kind"] == "thin" and not each["version"]]
    assert {each["name"]: str(each["device_id"]) for each in thin} == ids
    assert [(each["name"], each["uuid"]) for each in found["disk"]] == [("pv0", IDS[1])]
    assert found["disk"][0]["given_as"] == str(real_disk())


def test_its_history_is_there(thinmeta: Thinmeta) -> None:
    texts = texts_on(real_disk())
    found = listed(thinmeta, real_disk())
    assert [each["number"] for each in found["version"]] == sorted(texts, reverse=True)
    assert [each["number"] for each in found["version"] if each["counts"]] == [max(texts)]
    for each in found["version"]:
        text = texts[each["number"]]
        assert f'description = "{each["description"]}"' in text
        assert f"creation_time = {each['written']}" in text
    gone = [each for each in found["volume"] if each["version"]]
    assert [(each["name"], each["device_id"], each["pool"]) for each in gone] == [
        ("vgthin/junk#16", 6, "vgthin/pool0")
    ]


def test_what_is_printed_can_be_typed(thinmeta: Thinmeta) -> None:
    result = thinmeta("lvm", real_disk())
    assert result.exit_code == ExitCode.DONE
    assert "#29  2026-11-23 18:44:02 UTC       15  Write from lvextend -L +128M" in result.stdout
    commands = commands_in(result.stdout)
    assert [command[-1] for command in commands] == ["vgthin/pool0", "vgthin/pool-b"]
    for command in commands:
        assert thinmeta(*command).exit_code == ExitCode.DONE
    older = thinmeta("ls", *commands[0][1:-1], "vgthin/pool0#28")
    assert (older.exit_code, "is read as version 28" in older.stderr) == (ExitCode.DONE, True)


def test_a_removed_pool(tmp_path: Path, thinmeta: Thinmeta) -> None:
    newest = max(texts_on(real_disk()))
    text = texts_on(real_disk())[newest]
    pool = ("pool0", "root", "home", "home_snap1", "home-snap2", "home_snap3", "huge_unused")
    for name in (*pool, "newname", "pool0_tmeta", "pool0_tdata"):
        text = without_volume(text, name)
    text = re.sub(r"seqno = \d+", f"seqno = {newest + 1}", text, count=1)
    disk = changed_disk(tmp_path / "pv.img", text)
    gone = [each for each in listed(thinmeta, disk)["volume"] if each["version"]]
    assert gone[0]["name"] == f"vgthin/pool0#{newest}"
    assert {each["name"] for each in gone if each["pool"] == gone[0]["name"]} == {
        f"vgthin/{name}" for name in (*pool[1:], "newname")
    }
    for command in commands_in(thinmeta("lvm", disk).stdout):
        assert thinmeta(*command).exit_code == ExitCode.DONE


@pytest.fixture(scope="module")
def other_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a disk of another group of the same name, as of a cloned machine."""
    text = texts_on(real_disk())[29]
    for number, each in enumerate(IDS[:2]):
        text = text.replace(each, dashed(uuid_of("op"[number])))
    disk = changed_disk(tmp_path_factory.mktemp("other") / "other.img", text)
    with disk.open("r+b") as file:
        file.seek(SECTOR)
        label = bytearray(file.read(SECTOR))
        label[32:64] = uuid_of("p").encode()
        label[16:20] = lvm_crc(label[20:]).to_bytes(4, "little")
        file.seek(SECTOR)
        file.write(label)
    return disk


def test_groups_that_are_called_alike(other_disk: Path, thinmeta: Thinmeta) -> None:
    found = listed(thinmeta, real_disk(), other_disk)
    ids = [IDS[0], dashed(uuid_of("o"))]
    assert [(each["name"], each["shown"]) for each in found["group"]] == [
        ("vgthin", each) for each in ids
    ]
    commands = commands_in(thinmeta("lvm", real_disk(), other_disk).stdout)
    assert [command[-1] for command in commands] == [
        f"{each}/{pool}" for each in ids for pool in ("pool0", "pool-b")
    ]
    for command in commands:
        result = thinmeta(*command, "-o", "NAME", "--no-headers")
        assert result.exit_code == ExitCode.DONE
        assert ("vgthin/bvol" in result.stdout) == command[-1].endswith("pool-b")
    metadata = thinmeta("info", *commands[2][1:], "--metadata-lv", f"{ids[1]}/pool0_tmeta")
    assert metadata.exit_code == ExitCode.DONE


def test_texts_and_folders_without_disks(tmp_path: Path, thinmeta: Thinmeta) -> None:
    (tmp_path / "archive").mkdir()
    for seqno, text in texts_on(real_disk()).items():
        (tmp_path / f"archive/vgthin_{seqno:05}.vg").write_text(text)
    for given in (tmp_path, REAL / "vgcfgbackup.txt"):
        found = listed(thinmeta, given)
        assert [each["given_as"] for each in found["disk"]] == [None]
        assert len(found["version"]) == (1 if given.is_file() else 29)
        text = thinmeta("lvm", given).stdout
        assert "not given; once /dev/vdd" in text
        assert commands_in(text)[0][-4:] == ["-p", "METADATA", "--lv", "vgthin/pool0"]


def test_what_harms_a_terminal_is_escaped(tmp_path: Path, thinmeta: Thinmeta) -> None:
    text = tmp_path / "text"
    text.write_text(re.sub(r'description = ".*"', 'description = "\x1b[31mred"', TEXT))
    result = thinmeta("lvm", text)
    assert result.exit_code == ExitCode.DONE
    assert "\\x1b[31mred" in result.stdout
    assert "\x1b" not in result.stdout


def test_what_is_no_group_is_refused(tmp_path: Path, thinmeta: Thinmeta) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(1 << 20))
    for given, code in ((empty, ExitCode.INPUT), (tmp_path / "none", ExitCode.INPUT)):
        assert thinmeta("lvm", given).exit_code == code
    assert thinmeta("lvm").exit_code == ExitCode.USAGE
    twice = thinmeta("lvm", real_disk(), real_disk())
    assert (twice.exit_code, "was given as" in twice.stderr) == (ExitCode.INPUT, True)
