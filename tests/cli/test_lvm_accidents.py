"""What happens to LVM's disks and texts, and what is still to be had of them."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.lvm.lvm_disks import REAL, changed_disk, real_disk, texts_on, without_volume
from tests.lvm.lvm_images import SECTOR, dashed, lvm_crc, uuid_of
from thinmeta.errors import ExitCode

TEXT = (REAL / "vgcfgbackup.txt").read_text()
HOME = next(
    line.split()[0]
    for line in (REAL / "truth/thin-devices.sha256").read_text().splitlines()
    if line.split()[1] == "2"
)
NAMES = ["root", "home", "home_snap1", "home-snap2", "home_snap3", "huge_unused", "newname"]
LV = ("--lv", "vgthin/pool0")

SECOND_DISK = """\tpv1 {
\t\tid = "%s"
\t\tdevice = "/dev/vde"
\t\tstatus = ["ALLOCATABLE"]
\t\tflags = []
\t\tdev_size = 2097152
\t\tpe_start = 2048
\t\tpe_count = 255
\t}
""" % dashed(uuid_of("z"))  # noqa: UP031  # it is full of braces


def block_of(text: str, name: str) -> str:
    found = re.search(rf"\n\t\t{name} \{{\n.*?\n\t\t\}}\n", text, flags=re.DOTALL)
    assert found
    return found[0]


def with_second_disk(text: str) -> str:
    return text.replace("physical_volumes {\n", f"physical_volumes {{\n{SECOND_DISK}", 1)


def extents_of(block: str) -> int:
    return sum(int(each) for each in re.findall(r"extent_count = (\d+)", block))


def write_volume(disk: Path, block: str, content: bytes) -> None:
    """Write to the beginning of a volume of c01, whose block in the text this is."""
    parts = re.findall(r'extent_count = (\d+).*?"pv0", (\d+)', block, flags=re.DOTALL)
    with disk.open("r+b") as file:
        for count, place in ((int(count), int(place)) for count, place in parts):
            file.seek((2048 + place * 8192) * SECTOR)
            file.write(content[: count * 8192 * SECTOR])
            content = content[count * 8192 * SECTOR :]


def below(text: str, name: str, legs: list[str], segment: str) -> str:
    """Return the text in which a volume stands on `legs`, of which each is what it was itself."""
    block = block_of(text, name)
    head, _, _ = block.partition("segment_count")
    whole = (
        f"{head}segment_count = 1\nsegment1 {{\nstart_extent = 0\n"
        f"extent_count = {extents_of(block)}\n{segment}}}\n}}\n"
    )
    copies = "".join(block.replace(f"{name} {{", f"{leg} {{", 1) for leg in legs)
    return with_second_disk(text).replace(block, whole + copies, 1)


def given(tmp_path: Path, text: str, name: str = "text") -> list[object]:
    path = tmp_path / name
    path.write_text(text)
    return ["--lvm", real_disk(), "--lvm", path, *LV]


def names_in(thinmeta: Thinmeta, *words: object) -> list[str]:
    listed = thinmeta("ls", "-o", "NAME", "--no-headers", *words)
    assert listed.exit_code == ExitCode.DONE, listed.stderr
    return [line.strip().removeprefix("vgthin/") for line in listed.stdout.splitlines()]


def extracted(thinmeta: Thinmeta, tmp_path: Path, *words: object) -> tuple[str, str]:
    """Return the hash of `home`, and what was said."""
    output = tmp_path / "home.img"
    result = thinmeta("extract", "home", "-o", output, "--force", *words)
    assert result.exit_code == ExitCode.DONE, result.stderr
    with output.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), result.stderr


RAID = (
    'type = "raid1"\ndevice_count = 2\nregion_size = 4096\n'
    'raids = ["pool0_tmeta_rmeta_0", "{}", "pool0_tmeta_rmeta_1", "{}"]\n'
)
LEGS = ["pool0_tmeta_rimage_0", "pool0_tmeta_rimage_1"]


@pytest.mark.parametrize("missing", [None, 0, 1])
def test_a_raid1_is_read_by_a_leg_that_is_there(
    missing: int | None, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    text = below(TEXT, "pool0_tmeta", LEGS, RAID.format(*LEGS))
    if missing is not None:
        leg = block_of(text, LEGS[missing])
        text = text.replace(leg, leg.replace('"pv0"', '"pv1"'))
    found, told = extracted(thinmeta, tmp_path, *given(tmp_path, text))
    assert found == HOME
    assert ("leg 1 is read, for a disk of those before is missing" in told) == (missing == 0)


def test_an_image_of_a_raid1_that_is_behind_is_told(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """LVM's spare volume, as large as the metadata, is the first image: an older superblock."""
    disk = changed_disk(tmp_path / "pv.img", TEXT)
    image = DamagedImage.of(REAL.name)
    image.superblock()["trans_id"] = 8
    image.restamp(0)
    spare, meta = block_of(TEXT, "lvol0_pmspare"), block_of(TEXT, "pool0_tmeta")
    write_volume(disk, spare, image.to_bytes())
    text = below(TEXT, "pool0_tmeta", LEGS[1:], RAID.format(*LEGS))
    first = spare.replace("lvol0_pmspare", LEGS[0])
    assert extents_of(spare) == extents_of(meta)
    text = text.replace("logical_volumes {\n", f"logical_volumes {{\n{first}", 1)
    (tmp_path / "text").write_text(text)
    words = ("--lvm", disk, "--lvm", tmp_path / "text", *LV)
    told = "{}, and pool0_tmeta_rimage_1 is at 9: `--metadata-lv vgthin/pool0_tmeta_rimage_1` reads"
    behind = thinmeta("info", *words)
    assert behind.exit_code == ExitCode.DONE
    assert told.format("is at transaction 8") in behind.stderr
    write_volume(disk, spare, bytes(4096))
    wiped = thinmeta("info", *words)
    assert wiped.exit_code == ExitCode.INPUT
    assert told.format("has no sound superblock") in wiped.stderr
    other = ("--metadata-lv", f"vgthin/{LEGS[1]}")
    assert extracted(thinmeta, tmp_path, *words, *other)[0] == HOME


@pytest.mark.parametrize(
    ("mode", "is_ahead"), [("writeback", True), ("writethrough", False), ("passthrough", False)]
)
def test_a_cache_that_may_be_ahead_is_told(
    mode: str, is_ahead: bool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    pool = (
        f'\n\t\tcpool {{\nid = "{dashed(uuid_of("c"))}"\nstatus = []\nflags = []\n'
        "segment_count = 1\nsegment1 {\nstart_extent = 0\nextent_count = 2\n"
        f'type = "cache-pool"\ncache_mode = "{mode}"\n}}\n}}\n'
    )
    segment = 'type = "cache"\ncache_pool = "cpool"\norigin = "pool0_tdata_corig"\n'
    text = below(TEXT, "pool0_tdata", ["pool0_tdata_corig"], segment)
    text = text.replace("logical_volumes {\n", f"logical_volumes {{\n{pool}", 1)
    found, told = extracted(thinmeta, tmp_path, *given(tmp_path, text))
    assert found == HOME
    assert ("is cached by cpool, which may hold newer data" in told) == is_ahead


@pytest.mark.parametrize("kind", ["mirror", "vdo", "error", "raid5", "raid10", "snapshot", "zero"])
def test_other_types_are_refused_by_name(kind: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    text = below(TEXT, "pool0_tdata", [], f'type = "{kind}"\n')
    result = thinmeta("extract", "home", "-o", tmp_path / "out", *given(tmp_path, text))
    assert result.exit_code == ExitCode.INPUT
    assert f"vgthin/pool0_tdata: has a segment of type {kind}" in result.stderr


def test_what_stands_on_itself_ends(tmp_path: Path, thinmeta: Thinmeta) -> None:
    raid = RAID.format("pool0_tmeta", "pool0_tmeta")
    text = below(TEXT, "pool0_tmeta", [], raid)
    result = thinmeta("ls", *given(tmp_path, text))
    assert result.exit_code == ExitCode.INPUT
    assert "cannot be made of pool0_tmeta" in result.stderr


def test_a_missing_disk_harms_what_is_on_it(tmp_path: Path, thinmeta: Thinmeta) -> None:
    data = block_of(TEXT, "pool0_tdata")
    places = re.findall(r'"pv0", (\d+)', data)
    assert len(places) > 1
    outcomes = set()
    for place in places:
        moved = data.replace(f'"pv0", {place}\n', '"pv1", 0\n')
        words = given(tmp_path, with_second_disk(TEXT).replace(data, moved))
        output = tmp_path / "out"
        strict = thinmeta("extract", "home", "-o", output, "--force", *words)
        salvaged = thinmeta("extract", "home", "-o", output, "--force", "--salvage", *words)
        assert "the physical volume pv1 is not among the disks" in salvaged.stderr
        assert strict.exit_code != ExitCode.DONE or salvaged.exit_code == ExitCode.DONE
        outcomes.add(salvaged.exit_code)
        if salvaged.exit_code == ExitCode.DONE:
            assert hashlib.sha256(output.read_bytes()).hexdigest() == HOME
        else:
            assert strict.exit_code == ExitCode.INPUT
            assert "what is on it cannot be read" in salvaged.stderr
    assert outcomes == {ExitCode.DONE, ExitCode.SALVAGED}


def test_all_disks_missing_is_an_error(tmp_path: Path, thinmeta: Thinmeta) -> None:
    meta = block_of(TEXT, "pool0_tmeta")
    text = with_second_disk(TEXT).replace(meta, meta.replace('"pv0"', '"pv1"'))
    result = thinmeta("ls", *given(tmp_path, text))
    assert result.exit_code == ExitCode.INPUT
    assert "the physical volume pv1 is not among the disks" in result.stderr


@pytest.fixture(scope="module")
def without_label(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the disk after a GPT was written over it."""
    path = changed_disk(tmp_path_factory.mktemp("gpt") / "pv.img", TEXT)
    with path.open("r+b") as file:
        file.write(bytes(34 * SECTOR))
    return path


def test_without_a_label_the_ring_is_searched(
    without_label: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    refused = thinmeta("ls", "--lvm", without_label, *LV)
    assert refused.exit_code == ExitCode.INPUT
    assert f"{without_label}@0" in refused.stderr
    words = ("--lvm", f"{without_label}@0", *LV)
    assert names_in(thinmeta, *words) == NAMES
    found, told = extracted(thinmeta, tmp_path, *words)
    assert found == HOME
    assert "there is no LVM label at byte 0; the newest text left" in told


def test_a_text_among_the_data_is_no_text_of_the_disk(
    without_label: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    disk = tmp_path / "pv.img"
    disk.write_bytes(bytes(2 << 20) + TEXT[TEXT.index("vgthin {") :].encode())
    refused = thinmeta("ls", "--lvm", f"{disk}@0", *LV)
    assert refused.exit_code == ExitCode.INPUT
    assert "no text is left there" in refused.stderr


def test_pvcreate_on_the_wrong_disk(tmp_path: Path, thinmeta: Thinmeta) -> None:
    disk = changed_disk(tmp_path / "pv.img", TEXT)
    with disk.open("r+b") as file:
        file.seek(SECTOR)
        label = bytearray(file.read(SECTOR))
        label[32:64] = uuid_of("n").encode()
        label[16:20] = lvm_crc(label[20:]).to_bytes(4, "little")
        file.seek(SECTOR)
        file.write(label)
        file.write(bytes(1022 * 1024))
    text = tmp_path / "text"
    text.write_text(TEXT)
    refused = thinmeta("ls", "--lvm", disk, "--lvm", text, *LV)
    assert refused.exit_code == ExitCode.INPUT
    assert f"{disk}@0 takes that for it" in refused.stderr
    listed = thinmeta("ls", "-o", "NAME", "--lvm", f"{disk}@0", "--lvm", text, *LV)
    assert "is taken for pv0 of vgthin, the only one that is missing" in listed.stderr
    assert len(listed.stdout.splitlines()) == len(NAMES) + 1


def test_a_removed_pool_is_found_by_its_name(tmp_path: Path, thinmeta: Thinmeta) -> None:
    newest = max(texts_on(real_disk()))
    text = texts_on(real_disk())[newest]
    for name in ("pool0", *NAMES, "pool0_tmeta", "pool0_tdata"):
        text = without_volume(text, name)
    text = re.sub(r"seqno = \d+", f"seqno = {newest + 1}", text, count=1)
    disk = changed_disk(tmp_path / "pv.img", text)
    for lv in ("vgthin/pool0", f"vgthin/pool0#{newest}", "pool0"):
        words = ("--lvm", disk, "--lv", lv)
        assert names_in(thinmeta, *words) == NAMES
        told = thinmeta("info", *words).stderr
        assert f"vgthin/pool0 is read as version {newest} of LVM's text (2026-" in told
    for lv in ("vgthin/pool0#1", "vgthin/nobody", "vgthin/pool0#x"):
        result = thinmeta("ls", "--lvm", disk, "--lv", lv)
        assert result.exit_code == ExitCode.NOT_THERE
        assert "there are: vgthin/pool-b" in result.stderr


def test_another_volume_is_read_as_the_metadata(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """After `lvconvert --repair` the old metadata is a volume of its own."""
    words = given(tmp_path, TEXT.replace('"pool0_tmeta"', '"lvol0_pmspare"'))
    assert thinmeta("ls", *words).exit_code == ExitCode.INPUT
    other = ("--metadata-lv", "vgthin/pool0_tmeta")
    assert extracted(thinmeta, tmp_path, *words, *other)[0] == HOME
    assert thinmeta("ls", *words, "--metadata-lv", "vgthin/none").exit_code == ExitCode.NOT_THERE
    assert thinmeta("ls", "--metadata-lv", "vgthin/pool0_tmeta").exit_code == ExitCode.USAGE


def test_groups_that_are_called_alike_are_told_apart(tmp_path: Path, thinmeta: Thinmeta) -> None:
    ids = re.findall(r'^\tid = "(.*)"', TEXT, flags=re.MULTILINE)[:1]
    other = tmp_path / "other"
    other.write_text(TEXT.replace(ids[0], dashed(uuid_of("o"))))
    pool = ("-p", unpacked(REAL.name))
    words = (*pool, "--lvm", REAL / "vgcfgbackup.txt", "--lvm", other)
    result = thinmeta("ls", *words, *LV)
    assert result.exit_code == ExitCode.NOT_THERE
    assert f"{ids[0]}/pool0" in result.stderr
    assert names_in(thinmeta, *words, "--lv", f"{ids[0]}/pool0") == NAMES


def test_a_folder_of_texts(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """As /etc/lvm: the newest text counts, and the others are its history."""
    texts = texts_on(real_disk())
    newest = max(texts)
    (tmp_path / "backup").mkdir()
    (tmp_path / "archive").mkdir()
    (tmp_path / "lvm.conf").write_text("devices {\n}\n")
    (tmp_path / "backup/vgthin").write_text(texts[newest])
    for seqno, text in texts.items():
        (tmp_path / f"archive/vgthin_{seqno:05}.vg").write_text(text)
    pool = ("-p", unpacked(REAL.name), *LV)
    for folder in (tmp_path, tmp_path / "archive"):
        assert names_in(thinmeta, "--lvm", folder, *pool) == NAMES
        gone = thinmeta("lookup", "vgthin/junk#16", 0, "--lvm", folder, *pool)
        assert (gone.exit_code, "was removed after version 16" in gone.stderr) == (0, True)
    refused = thinmeta("ls", "--lvm", tmp_path, *pool, "--output", tmp_path / "backup/vgthin")
    assert refused.exit_code not in (ExitCode.DONE, ExitCode.USAGE)
    assert (tmp_path / "backup/vgthin").read_text() == texts[newest]
    (tmp_path / "none").mkdir()
    empty = thinmeta("ls", "--lvm", tmp_path / "none", *pool)
    assert empty.exit_code == ExitCode.INPUT
    assert "there is no text metadata in it" in empty.stderr


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"LUKS\xba\xbe\0\1", "cryptsetup open --readonly"),
        (b"QFI\xfb\0\0\0\3", "qemu-img convert -O raw"),
    ],
)
def test_disks_that_need_a_step_before_are_named(
    beginning: bytes, what: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(beginning.ljust(1 << 20, b"\0"))
    result = thinmeta("ls", "--lvm", disk, *LV)
    assert result.exit_code == ExitCode.INPUT
    assert what in result.stderr


def test_what_is_odd_of_lvm_stops_no_copy(
    without_label: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """It is no damage of the metadata, which is written as it lies on the disk."""
    output = tmp_path / "meta.bin"
    result = thinmeta("unpack", "--lvm", f"{without_label}@0", *LV, "--output", output)
    assert result.exit_code == ExitCode.DONE
    assert "there is no LVM label at byte 0" in result.stderr
    assert output.read_bytes() == unpacked(REAL.name).read_bytes()
