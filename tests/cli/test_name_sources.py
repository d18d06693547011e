"""Who may name the devices: options before the environment, and Docker's root of this pool."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from tests.anatomy import Anatomy
from tests.cases import FIXTURES, image_bytes, unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.in_process import invoked
from tests.lvm.lvm_disks import REAL, changed_disk, real_disk, texts_on
from tests.names.docker_roots import CASES, copied, state_of
from thinmeta.errors import ExitCode

DIRECT, LOOP = CASES
LVM = ("--lvm", REAL / "vgcfgbackup.txt", "--lv", "vgthin/pool0")


def loop_root(tmp_path: Path, case: str = LOOP) -> Path:
    """Return a root that holds its pool, of which only the metadata are there."""
    root = copied(tmp_path / "docker", case)
    loop = root / "devicemapper/devicemapper"
    loop.mkdir(exist_ok=True)
    (loop / "metadata").write_bytes(image_bytes(case))
    (loop / "data").symlink_to(unpacked(case, "data"))
    return root


# The environment


def test_lvm_counts_more_than_the_environment(thinmeta: Thinmeta) -> None:
    words = ("ls", "-p", unpacked(REAL.name), *LVM)

    result = invoked(*words, THINMETA_DOCKER_ROOT=state_of(LOOP))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert result.stdout == thinmeta(*words).stdout
    assert "vgthin/root" in result.stdout


def test_a_root_that_is_given_counts_more_than_the_pool_of_the_environment(tmp_path: Path) -> None:
    root = loop_root(tmp_path)
    other = unpacked("a08-snapshots-of-snapshots")

    given = invoked("ls", "--docker-root", root, THINMETA_POOL=other)
    from_both = invoked("ls", THINMETA_POOL=other, THINMETA_DOCKER_ROOT=root)

    assert given.stdout == invoked("ls", "--docker-root", root).stdout
    assert "dead1" in given.stdout
    assert "dead1" not in from_both.stdout  # a08 has no device 25
    assert from_both.exit_code == ExitCode.DONE


def test_the_environments_data_are_those_of_its_own_pool(tmp_path: Path) -> None:
    root = loop_root(tmp_path)
    own = root / "devicemapper/devicemapper/metadata"
    first = ("--size", "4K", "-q")

    with_own = invoked("extract", "dead1", *first, "-p", own, THINMETA_DOCKER_ROOT=root)
    without = invoked("extract", "dead1", *first, THINMETA_DOCKER_ROOT=root)
    other = invoked("extract", 1, *first, "-p", unpacked(REAL.name), THINMETA_DOCKER_ROOT=root)

    assert with_own.exit_code == ExitCode.DONE, with_own.stderr
    assert without.stdout_bytes == with_own.stdout_bytes
    assert (other.exit_code, other.stdout) == (ExitCode.USAGE, "")
    assert "say where the data is" in other.stderr


# Docker's root of another pool


@pytest.mark.parametrize("case", CASES)
def test_the_root_of_another_pool_is_noticed_with_the_data(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    other = CASES[1 - CASES.index(case)]
    out = tmp_path / "out"

    def extracted(root: Path) -> Result:
        words = ("extract", "dead1", "-p", unpacked(case), "--data", unpacked(case, "data"))
        return thinmeta(*words, "--docker-root", root, "--size", "64K", "-o", out, "-q")

    result = extracted(state_of(other))

    assert result.exit_code == ExitCode.INPUT
    assert "is the root of another pool: its base device has the file system" in result.stderr
    assert not out.exists()
    assert extracted(state_of(case)).exit_code == ExitCode.DONE


def test_a_table_with_data_notices_it_too(thinmeta: Thinmeta) -> None:
    words = ("table", 25, "-p", unpacked(LOOP), "--docker-root", state_of(DIRECT))

    assert thinmeta(*words, "--data", unpacked(LOOP, "data")).exit_code == ExitCode.INPUT


def test_data_in_the_root_of_another_pool_are_not_taken(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """There is no file system at all where the metadata of one pool says that the other's is."""
    words = ("extract", "base", "--size", "64K", "-q", "--docker-root", loop_root(tmp_path))

    result = thinmeta(*words, "-p", unpacked(DIRECT))

    assert (result.exit_code, result.stdout_bytes) == (ExitCode.INPUT, b"")
    assert "is the root of another pool" in result.stderr
    assert " has none on " in result.stderr
    assert thinmeta(*words, "-p", unpacked(LOOP)).exit_code == ExitCode.DONE


def test_a_base_device_that_cannot_be_read_tells_nothing(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"")
    words = ("extract", 25, "--size", "64K", "--docker-root", state_of(LOOP), "--data", data)

    result = thinmeta(*words, "-p", unpacked(LOOP), "-q")

    assert result.exit_code == ExitCode.INPUT
    assert "is past the end of the data device" in result.stderr


def test_an_old_root_without_the_uuid_is_taken(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = copied(tmp_path / "docker", DIRECT)
    (root / "devicemapper/metadata/deviceset-metadata").write_text('{"next_device_id": 31}')
    words = ("table", 25, "-p", unpacked(LOOP), "--docker-root", root)

    assert thinmeta(*words, "--data", unpacked(LOOP, "data"), "-q").exit_code == ExitCode.DONE


def test_the_base_device_may_have_another_id(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Device 0 in old roots; here 2, which is a snapshot of 1 and has the same file system."""
    root = copied(tmp_path / "docker", DIRECT)
    base = root / "devicemapper/metadata/base"
    base.write_text(json.dumps(json.loads(base.read_text()) | {"device_id": 2}))
    words = ("table", 25, "--data", unpacked(LOOP, "data"), "-p", unpacked(LOOP))

    result = thinmeta(*words, "--docker-root", root)

    assert "and device 2 of" in result.stderr


# Names without a device


def test_a_name_that_a_missing_file_would_tell(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = copied(tmp_path / "docker", DIRECT)
    shutil.rmtree(root / "containers")

    result = thinmeta("lookup", "dead1", 0, "-p", unpacked(DIRECT), "--docker-root", root)

    assert result.exit_code == ExitCode.NOT_THERE
    assert f"no device is called 'dead1' in {root}; container " in result.stderr
    assert result.stderr.count(": its name is missing") == 3


@pytest.mark.parametrize("name", ["dead1", "/dead1"])
def test_a_container_without_its_record_says_what_is_known(
    name: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    root = copied(tmp_path / "docker")
    mounts = root / "image/devicemapper/layerdb/mounts"
    config = next(
        path
        for path in root.glob("containers/*/config.v2.json")
        if json.loads(path.read_text())["Name"] == "/dead1"
    )
    mount = (mounts / config.parent.name / "mount-id").read_text()
    (root / "devicemapper/metadata" / mount).unlink()
    words = ("-p", unpacked(LOOP), "--docker-root", root)

    for command in (["lookup", name, 0], ["extract", name], ["layers", name]):
        result = thinmeta(*command, *words)
        assert result.exit_code == ExitCode.NOT_THERE
        told = f"container dead1: which device it is nobody says, for devicemapper/metadata/{mount}"
        assert f"{told} is missing" in result.stderr
    by_id = thinmeta("lookup", mount[:12], 0, *words)
    assert f"{mount} is missing" in by_id.stderr


# What scan says to type next


@pytest.mark.parametrize("how", ["path", "lvm", "docker", "named"])
def test_the_hints_of_a_scan_run_as_they_are_printed(
    how: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    a09 = FIXTURES / "a09-discards-and-deletes/meta.bin.xz"
    words: tuple[object, ...] = {
        "path": (a09,),
        "lvm": ("--lvm", real_disk(), "--lv", "vgthin/pool0"),
        "docker": ("--docker-root", loop_root(tmp_path)),
        "named": ("-i", unpacked(LOOP), "--docker-root", state_of(LOOP)),
    }[how]

    lines = thinmeta("scan", *words).stdout.splitlines()
    hints = [line.partition(" thinmeta ")[2] for line in lines if " thinmeta " in line]

    assert len(hints) == {"path": 4, "lvm": 3, "docker": 4, "named": 4}[how], hints
    for hint in hints:
        result = thinmeta(*shlex.split(hint))
        assert result.exit_code in (ExitCode.DONE, ExitCode.SALVAGED), (hint, result.stderr)
        assert result.stdout


@pytest.mark.parametrize("how", ["named", "in the root", "lvm"])
@pytest.mark.parametrize("command", ["scan", "dump"])
def test_what_damage_makes_them_print_runs_as_it_is_printed(
    command: str, how: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """A device of now is damaged, so a scan compares past damage, and a repair names a state."""
    case = REAL.name if how == "lvm" else LOOP
    root = loop_root(tmp_path)
    place = root / "devicemapper/devicemapper/metadata" if how != "lvm" else tmp_path / "a b.img"
    image = DamagedImage.of(case)
    anatomy = Anatomy.of(case)
    # A root alone is found again from what hung below it.
    image.zero(anatomy.device_roots[1], anatomy.leaves(1)[0].block)
    image.write_to(place)
    names: tuple[object, ...] = {
        "named": ("-p", place, "--docker-root", root),
        "in the root": ("--docker-root", root),
        "lvm": ("-p", place, *LVM),
    }[how]

    result = thinmeta(command, *names, *(["-r"] if command == "dump" else []))

    printed = re.findall(
        r"(?: {2}|`)thinmeta ([a-z]+ .*?)(?:`|$)", result.stdout + result.stderr, re.MULTILINE
    )
    assert len(printed) >= {"scan": 3, "dump": 1}[command]
    for words in printed:
        again = thinmeta(*shlex.split(words))
        assert again.exit_code in (ExitCode.DONE, ExitCode.SALVAGED), (words, again.stderr)
        assert again.stdout


def test_where_the_superblock_is_wiped_lvm_still_knows_the_block_size(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.of(REAL.name)
    image.zero(0)
    path, new = image.write_to(tmp_path / "a b.img"), tmp_path / "new.img"

    told = thinmeta("ls", path, *LVM).stderr

    for words in re.findall("`thinmeta (.*?)`", told):
        result = thinmeta(*shlex.split(words.replace(" NEW", f" {new}")))
        assert result.exit_code == ExitCode.DONE, result.stderr
    assert thinmeta("check", new).exit_code == ExitCode.DONE


@pytest.mark.parametrize("words", [(), LVM])
def test_the_hints_of_a_scan_ask_for_what_nothing_says(
    words: tuple[object, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = tmp_path / "wiped.bin"
    path.write_bytes(bytes(4096) + image_bytes(REAL.name)[4096:])

    lines = thinmeta("scan", path, *words).stdout.splitlines()
    hints = [line.partition(" thinmeta ")[2] for line in lines if " thinmeta " in line]

    assert len(hints) == 2
    for hint in hints:
        assert hint.endswith(" --data-block-size SECTORS") is (not words)
        result = thinmeta(*shlex.split(hint.replace("SECTORS", "128")))
        assert result.exit_code == ExitCode.DONE, (hint, result.stderr)


@pytest.mark.parametrize("device", ["vgthin/home", "vgthin/junk#16@124:126"])
def test_the_copy_of_files_that_a_table_offers_runs_as_it_is_printed(
    device: str, tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = changed_disk(tmp_path / "pv.img", texts_on(real_disk())[29])
    words = ("table", device, "--on-disks", "--lvm", disk, "--lv", "vgthin/pool0")
    head = json.loads(thinmeta(*words, "-f", "json").stdout.splitlines()[0])
    lists, copies = head["files"]
    monkeypatch.chdir(tmp_path)

    listed = thinmeta(*shlex.split(lists)[1:])
    copied = thinmeta(*shlex.split(copies)[1:])

    assert (listed.exit_code, listed.stderr) == (copied.exit_code, copied.stderr)
    assert (listed.exit_code, listed.stderr) == (ExitCode.DONE, "")
    assert listed.stdout.split() == sorted(path.name for path in Path("DEST").iterdir())
