"""Volumes through LVM: the bytes, the size and the name of the device that was meant."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.lvm.lvm_disks import (
    END,
    EXTERNAL,
    FIRST_DATA,
    REAL,
    changed_disk,
    external_disk,
    external_group,
    real_disk,
    texts_on,
    without_volume,
)
from tests.lvm.lvm_images import MIB, striped, thin, thin_pool, volume
from tests.volume.data_images import devices
from thinmeta.errors import ExitCode
from thinmeta.lvm.lvm_state import read_lvm
from thinmeta.model.pool import open_pool
from thinmeta.names.lvm_volumes import open_lvm_volume

TRUTH = {each.device_id: each for each in devices(EXTERNAL)}
JUNK = "e688b508280a94914eac895d57b216cadbbf976c74c835208084701706d47ea7"
"""The removed device in its old state, 13 extents; no image of it by the kernel was kept."""

JUNK_BYTES = 54525952
PAST = "124:126"
SNAP3 = "ff45291ed670061ab4b88e1ba2fad152575265b25613387c99fa34d17a169851"
ROOT = "0f83729d5a48a910125bda86df59240ac375666f9974800331d057f838ce2f8f"


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return external_disk(tmp_path_factory.mktemp("external") / "pv.img", external_group())


def sha256_of(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def objects(thinmeta: Thinmeta, *words: object) -> list[dict[str, Any]]:
    result = thinmeta(*words, "-f", "json")
    assert result.exit_code == ExitCode.DONE, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def on(disk: Path, *more: object) -> tuple[object, ...]:
    return ("--lvm", disk, "--lv", "vgthin/pool0", *more)


# External origins


@pytest.mark.parametrize(("name", "device_id"), [("t1", 1), ("vg/t2", 2), ("1", 1), ("t1@live", 1)])
def test_an_external_origin_is_read_from_the_same_disks(
    name: str, device_id: int, external: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    out = tmp_path / "out"

    result = thinmeta("extract", name, "--lvm", external, "-o", out, "-q")

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert sha256_of(out) == (TRUTH[device_id].sha256, TRUTH[device_id].size)
    streamed = thinmeta("extract", name, "--lvm", external, "-q").stdout_bytes
    assert hashlib.sha256(streamed).hexdigest() == TRUTH[device_id].sha256


def test_the_library_reads_it_too(external: Path) -> None:
    with (
        read_lvm([str(external)]) as disks,
        open_pool(disks.open_metadata(None)) as pool,
        open_lvm_volume(disks, pool, 1) as opened,
    ):
        assert hashlib.sha256(opened.read()).hexdigest() == TRUTH[1].sha256


def test_a_table_names_the_external_origin(external: Path, thinmeta: Thinmeta) -> None:
    lines = thinmeta("table", "t1", "--lvm", external, "-q").stdout.splitlines()
    head, target = objects(thinmeta, "table", "t1", "--lvm", external, "-q")

    assert lines[1] == "0 65536 thin /dev/mapper/vg-pool-tpool 1 /dev/mapper/vg-plain"
    assert "#   lvchange -y -ay vg/plain" in lines
    assert target["origin"] == "/dev/mapper/vg-plain"
    assert head["before"] == ["lvchange -y -ay vg/plain"]


@pytest.mark.parametrize("on_disks", [True, False])
def test_a_linear_table_reads_the_external_origin(
    *, on_disks: bool, external: Path, thinmeta: Thinmeta
) -> None:
    how = ["--on-disks"] if on_disks else ["--linear", "/dev/mapper/vg-pool_tdata"]
    begins = {"/dev/sdp": 0, "/dev/mapper/vg-plain": MIB}
    begins["/dev/mapper/vg-pool_tdata"] = MIB + FIRST_DATA * 4096
    result = thinmeta("table", "t1", "--lvm", external, "-q", *how)
    assert result.exit_code == ExitCode.DONE, result.stderr

    found = hashlib.sha256()
    with external.open("rb") as disk:
        for line in result.stdout.splitlines():
            if not line.startswith("#"):
                _, sectors, kind, *where = line.split()
                content = bytes(int(sectors) * 512)
                if kind == "linear":
                    disk.seek(begins[where[0]] + int(where[1]) * 512)
                    content = disk.read(len(content))
                found.update(content)

    assert found.hexdigest() == TRUTH[1].sha256
    assert ("lvchange -y -ay vg/plain" in result.stdout) is not on_disks


def test_of_text_alone_the_table_is_the_same(
    external: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    text = tmp_path / "text"
    text.write_bytes(external_group().rstrip(b"\0"))
    how = ("--linear", "/dev/mapper/vg-pool_tdata", "-q")

    by_text = thinmeta("table", "t1", "--lvm", text, "-p", unpacked(EXTERNAL), *how)

    assert by_text.exit_code == ExitCode.DONE, by_text.stderr
    by_disk = thinmeta("table", "t1", "--lvm", external, *how)
    # But for what is said of the files: of the text alone nobody could look for any.
    tables = [
        [line for line in each.stdout.splitlines() if not line.startswith("#")]
        for each in (by_text, by_disk)
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) > 1


SIZE = 24 * MIB // 4096
UNREADABLE = {
    "raid5": (
        external_group(
            plain=f'start_extent = 0\nextent_count = {SIZE}\ntype = "raid5"\nregion_size = 4096\n'
            'raids = [\n"plain_rmeta_0", "plain_rimage_0"\n]\n'
        ),
        "has a segment of type raid5",
    ),
    "missing disk": (
        external_group(plain=striped(0, SIZE, ("pv1", 0)), disks="pq"),
        "the physical volume pv1 is not among the disks",
    ),
    "gone": (external_group(origin="lost"), "LVM has it no more"),
    "itself": (external_group(origin="t1"), "it is its own origin"),
    "pool": (external_group(origin="pool"), "has a segment of type thin-pool"),
    "no such pool": (
        external_group(volume("other", thin(SIZE, 7, 0, pool="gone"), letter="h"), origin="other"),
        "vg/gone",
    ),
}


@pytest.mark.parametrize(("text", "why"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_origin_that_cannot_be_read_is_never_zeros(
    text: bytes, why: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    disk = external_disk(tmp_path / "pv.img", text)
    out = tmp_path / "out"
    words = ("extract", "t1", "--lvm", disk, "-o", out)

    result = thinmeta(*words)

    assert result.exit_code == ExitCode.INPUT
    assert why in result.stderr
    assert "give it with --origin" in result.stderr
    assert not out.exists()
    salvaged = thinmeta(*words, "--salvage")
    assert (salvaged.exit_code, out.exists()) == (ExitCode.INPUT, False)
    given = thinmeta(*words, "--origin", unpacked(EXTERNAL, "origin"), "-q")
    assert given.exit_code == ExitCode.DONE, given.stderr
    assert sha256_of(out) == (TRUTH[1].sha256, TRUTH[1].size)


@pytest.mark.parametrize("why", ["raid5", "missing disk"])
def test_a_thin_table_needs_no_origin_that_can_be_read(
    why: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """It only names it; the file system would be looked at."""
    text, unreadable = UNREADABLE[why]
    disk = external_disk(tmp_path / "pv.img", text)

    thin_table = thinmeta("table", "t1", "--lvm", disk)
    linear = thinmeta("table", "t1", "--lvm", disk, "--linear", "/dev/x")

    assert thin_table.exit_code == ExitCode.DONE, thin_table.stderr
    target = next(line for line in thin_table.stdout.splitlines() if line[0] != "#")
    assert re.fullmatch(r"0 \d+ thin /dev/mapper/\S+ 1 /dev/\S+", target)
    assert unreadable in thin_table.stderr
    assert "nobody looked at the file system" in thin_table.stderr
    assert (linear.exit_code, linear.stdout) == (ExitCode.INPUT, "")


def test_a_text_without_disks_has_no_origin_to_read(tmp_path: Path, thinmeta: Thinmeta) -> None:
    text = tmp_path / "text"
    text.write_bytes(external_group().rstrip(b"\0"))
    data = ("--data", unpacked(EXTERNAL, "data"))

    result = thinmeta("extract", "t1", "--lvm", text, "-p", unpacked(EXTERNAL), *data)

    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")
    assert "give it with --origin" in result.stderr


@pytest.mark.parametrize("how", [(), ("--linear", "/dev/x"), ("--on-disks",)])
@pytest.mark.parametrize("is_text", [True, False])
def test_no_table_names_an_origin_that_lvm_has_no_more(
    how: tuple[str, ...], *, is_text: bool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """Another volume may have its name by now."""
    group = external_group(origin="lost")
    text = tmp_path / "text"
    text.write_bytes(group.rstrip(b"\0"))
    lvm = (text, "-p", unpacked(EXTERNAL))
    words = ("table", "t1", *how, "--lvm")

    result = thinmeta(*words, *(lvm if is_text else (external_disk(tmp_path / "pv.img", group),)))

    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")
    assert "LVM has the external origin vg/lost no more" in result.stderr
    assert "with --origin" in result.stderr
    given = thinmeta(*words, *lvm, "--origin", unpacked(EXTERNAL, "origin"), "-q")
    assert given.exit_code == ExitCode.DONE, given.stderr


def test_an_origin_may_be_a_thin_volume_that_has_one_itself(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """Device 7 of another pool has the first blocks of `plain`, and `plain` behind them."""
    xml = tmp_path / "xml"
    xml.write_text(
        '<superblock uuid="" time="0" transaction="1" data_block_size="128" nr_data_blocks="384">'
        '<device dev_id="7" mapped_blocks="300" transaction="0" creation_time="0" snap_time="0">'
        '<range_mapping origin_begin="0" data_begin="0" length="300" time="0"/></device>'
        "</superblock>"
    )
    metadata = tmp_path / "metadata"
    made = thinmeta("restore", "-i", xml, "-o", metadata, "--metadata-size", "4M")
    assert made.exit_code == ExitCode.DONE, made.stderr
    pool = thin_pool(SIZE, 1).replace("pool_t", "other_t")
    text = external_group(
        volume("other", pool, letter="h"),
        volume("other_tmeta", striped(0, MIB // 1024, ("pv0", END)), letter="i"),
        volume("other_tdata", striped(0, SIZE, ("pv0", 0)), letter="j"),
        volume("base", f'{thin(SIZE, 7, 0, pool="other")}external_origin = "plain"\n', letter="k"),
        origin="base",
    )
    disk = external_disk(tmp_path / "pv.img", text, metadata.read_bytes())
    out = tmp_path / "out"

    result = thinmeta("extract", "t1", "--lvm", disk, "--lv", "vg/pool", "-o", out, "-q")

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert sha256_of(out) == (TRUTH[1].sha256, TRUTH[1].size)
    striped_table = thinmeta(*("table", "t1", "--lvm", disk, "--lv", "vg/pool", "--on-disks", "-q"))
    assert striped_table.exit_code == ExitCode.INPUT
    assert "--origin" in striped_table.stderr


def test_of_a_device_that_nobody_knows_the_origin_is_not_known(
    external: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta("extract", 3, "--size", "32M", "--lvm", external, "-o", tmp_path / "out")

    assert result.exit_code == ExitCode.DONE
    assert "nobody says whether device 3 has an external origin" in result.stderr
    origin = ("--origin", unpacked(EXTERNAL, "origin"))
    given = thinmeta(
        *("extract", 3, "--size", "32M", "--lvm", external, *origin, "-o", tmp_path / "out")
    )
    assert (given.exit_code, given.stderr) == (ExitCode.DONE, "")
    assert sha256_of(tmp_path / "out")[0] == TRUTH[3].sha256


# Ids that were given again


@pytest.mark.parametrize("device", [f"vgthin/junk#16@{PAST}", f"6@{PAST}"])
def test_a_removed_volume_has_its_own_size(device: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    out = tmp_path / "out"

    result = thinmeta("extract", device, *on(real_disk(), "-o", out))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert sha256_of(out) == (JUNK, JUNK_BYTES)
    head, *_ = objects(thinmeta, "table", device, *on(real_disk(), "--linear", "/dev/x"))
    assert head["sectors"] == JUNK_BYTES // 512


def test_a_past_state_has_the_names_of_its_own_devices(thinmeta: Thinmeta) -> None:
    result = thinmeta("ls", "--state", PAST, "-o", "DEV,NAME", *on(real_disk()))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert result.stdout.splitlines()[-1].split() == ["6", "vgthin/junk#16"]
    listed = objects(thinmeta, "ls", "--state", PAST, *on(real_disk()))
    assert [each["type"] for each in listed] == 6 * ["device"]
    assert listed[-1]["name"] == "vgthin/junk#16"
    left, right = f"6@{PAST}", "6"
    summary, *_ = objects(thinmeta, "diff", left, right, "--summary", *on(real_disk()))
    assert summary["left"]["known_as"] == "vgthin/junk#16"
    assert summary["right"]["known_as"] == "vgthin/huge_unused"


def test_where_no_name_fits_the_size_is_not_known(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """The backup alone does not have the removed volume."""
    text = ("--lvm", REAL / "vgcfgbackup.txt", "--lv", "vgthin/pool0")
    words = ("-p", unpacked(REAL.name), *text)

    result = thinmeta("table", f"6@{PAST}", "--linear", "/dev/x", *words)

    assert "the metadata does not say how large device 6@124:126 is" in result.stderr
    assert result.stdout.splitlines()[0].endswith(" sectors (52 MiB)")  # its last mapped block
    shown = thinmeta("ls", "--state", PAST, "-o", "DEV,NAME", *words)
    assert "Warning: device 6 has no name" in shown.stderr
    assert "huge_unused" not in shown.stdout + shown.stderr
    listed = objects(thinmeta, "ls", "--state", PAST, *words, "-q")
    assert [each["name"] for each in listed if each["type"] == "device"][-1] is None


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (f"huge_unused@{PAST}", "is device 6, created in transaction 7; device 6 of state 124:126"),
        (f"newname@{PAST}", "is device 7, created in transaction 8; it is not in state 124:126"),
        ("root@124", "its details are not known, so nobody can tell"),
        ("vgthin/junk#16@124", "its details are not known, so nobody can tell"),
    ],
)
def test_a_name_is_never_another_device(device: str, said: str, thinmeta: Thinmeta) -> None:
    for command in (["lookup", device, 0], ["extract", device], ["dump", "--dev-id", device]):
        result = thinmeta(*command, *on(real_disk()))
        assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "")
        assert said in result.stderr


def test_an_older_text_that_was_given_still_knows_later_devices(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    older = tmp_path / "version-16"
    older.write_text(texts_on(real_disk())[16])
    words = on(real_disk(), "--lvm", older, "-p", unpacked(REAL.name))

    names = {
        each["device_id"]: each["name"]
        for each in objects(thinmeta, "ls", *words, "-q")
        if each["type"] == "device"
    }

    assert names[6] == "vgthin/huge_unused#29"
    assert names[7] == "vgthin/newname#29"
    assert names[1] == "vgthin/root"
    (past,) = objects(thinmeta, "ls", "--state", PAST, *words, "-q")[5:]
    assert past["name"] == "vgthin/junk"
    looked = thinmeta("table", "vgthin/huge_unused#29", *words, "-q").stdout
    assert looked.splitlines()[1].startswith(f"0 {2**40 // 512} thin ")


def test_texts_of_one_number_are_both_history(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """After `vgcfgrestore` the numbers go on from the backup, and some are there twice."""
    texts = texts_on(real_disk())
    twin = re.sub(r"seqno = \d+", "seqno = 16", texts[29], count=1)
    newest = without_volume(without_volume(texts[29], "huge_unused"), "home_snap3")
    (tmp_path / "twin").write_text(twin.replace("huge_unused", "junk"))
    (tmp_path / "newest").write_text(newest)
    words = on(tmp_path / "newest", "--lvm", tmp_path / "twin", "-p", unpacked(REAL.name))
    (tmp_path / "16").write_text(texts[16])

    names = {
        each["device_id"]: each["name"]
        for each in objects(thinmeta, "ls", *words, "--lvm", tmp_path / "16", "-q")
        if each["type"] == "device"
    }
    past = objects(thinmeta, "ls", "--state", PAST, *words, "--lvm", tmp_path / "16", "-q")

    assert {names[6], past[5]["name"]} == {"vgthin/junk#16", "vgthin/junk#16.6.7"} or (
        {names[6], past[5]["name"]} == {"vgthin/junk#16", "vgthin/junk#16.6.5"}
    )
    for name, state in ((names[6], "live"), (past[5]["name"], PAST)):
        result = thinmeta("lookup", f"{name}@{state}", 0, *words, "--lvm", tmp_path / "16", "-q")
        assert result.exit_code == ExitCode.DONE, result.stderr


# Volumes that LVM removed and the pool still has, and those that it has not


def removed(tmp_path: Path) -> Path:
    return changed_disk(
        tmp_path / "pv.img", without_volume(texts_on(real_disk())[29], "home_snap3")
    )


@pytest.mark.parametrize("state", ["", "@live"])
def test_a_removed_volume_is_read_while_the_pool_has_it(
    state: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    disk, out = removed(tmp_path), tmp_path / "out"
    listed = objects(thinmeta, "ls", *on(disk, "-q"))
    names = {each["device_id"]: each["name"] for each in listed if each["type"] == "device"}
    assert names[5] == "vgthin/home_snap3#29"

    result = thinmeta("extract", f"vgthin/home_snap3#29{state}", *on(disk, "-o", out))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert sha256_of(out) == (SNAP3, 209715200)


def test_a_volume_that_was_made_again_is_another(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """`root` was removed and made again, which the pool was not told of yet."""
    text = texts_on(real_disk())[29]
    again = text.replace(
        "transaction_id = 0\ndevice_id = 1\n", "transaction_id = 9\ndevice_id = 8\n"
    )
    again = again.replace("seqno = 29", "seqno = 30").replace("7AAiUR", "7AAiUS")
    disk, out = changed_disk(tmp_path / "pv.img", again), tmp_path / "out"

    lost = thinmeta("extract", "vgthin/root", *on(disk, "-o", out))
    found = thinmeta("extract", "vgthin/root#29", *on(disk, "-o", out))
    other = thinmeta("extract", "vgthin/home_snap3#29", *on(disk, "-o", tmp_path / "other"))

    assert lost.exit_code == ExitCode.NOT_THERE
    assert "volume vgthin/root is device 8, created in transaction 9; it is not in the pool" in (
        lost.stderr
    )
    assert (found.exit_code, found.stderr) == (ExitCode.DONE, "")
    assert sha256_of(out) == (ROOT, 134217728)
    assert (other.exit_code, sha256_of(tmp_path / "other")) == (0, (SNAP3, 209715200))


def test_a_merged_snapshot_is_another_device_of_the_same_volume(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """`lvconvert --merge`: `home` keeps its uuid and takes the snapshot's device."""
    text = without_volume(texts_on(real_disk())[29], "home_snap1")
    merged = text.replace("transaction_id = 1\ndevice_id = 2", "transaction_id = 2\ndevice_id = 3")
    disk = changed_disk(tmp_path / "pv.img", merged)

    names = {
        each["device_id"]: each["name"]
        for each in objects(thinmeta, "ls", *on(disk, "-q"))
        if each["type"] == "device"
    }

    assert (names[2], names[3]) == ("vgthin/home#29", "vgthin/home")
    by_name = thinmeta("dump", "--dev-id", "vgthin/home#29", *on(disk, "-q")).stdout
    assert by_name == thinmeta("dump", "--dev-id", 2, *on(disk, "-q")).stdout


AHEAD = "the pool is at transaction 9, {} at 10: the pool's metadata is older"
PUT_RIGHT = "set transaction_id of pool0 in FILE to 9, then `vgcfgrestore --force -f FILE vgthin`"


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["info"],
        ["scan"],
        ["ls"],
        ["dump"],
        ["lookup", 1, 0],
        ["rmap", "--region", "0..9"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_tells_that_lvm_is_ahead(
    command: list[object], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    text = (REAL / "vgcfgbackup.txt").read_text()
    ahead = tmp_path / "ahead.txt"
    ahead.write_text(text.replace("transaction_id = 9", "transaction_id = 10", 1))
    words = ("-p", unpacked(REAL.name), "--lv", "vgthin/pool0", "--lvm")
    as_it_is = thinmeta(*command, *words, REAL / "vgcfgbackup.txt")
    assert "transaction" not in as_it_is.stderr
    told = thinmeta(*command, *words, ahead)
    assert told.stderr.count(AHEAD.format(ahead)) == 1
    assert PUT_RIGHT in told.stderr
    assert told.exit_code == as_it_is.exit_code
