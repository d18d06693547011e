"""A removed volume by the name that people know: read in the newest state that has all of it."""

import hashlib
import json
from pathlib import Path

import pytest

import thinmeta as library
from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.lvm.lvm_disks import REAL, real_disk
from thinmeta.errors import ExitCode, NotThereError

STATE = "124:126"
SHA256 = "e688b508280a94914eac895d57b216cadbbf976c74c835208084701706d47ea7"
"""Of the volume as the state that the kernel left of it has it, 13 extents long."""

NAMES = ["vgthin/junk", "junk", "junk#16", "vgthin/junk#16", "/dev/vgthin/junk"]


def on_disk(*more: object) -> tuple[object, ...]:
    return ("--lvm", real_disk(), "--lv", "vgthin/pool0", *more)


def disk_of(image: DamagedImage, folder: Path) -> tuple[object, ...]:
    """Return the words for a pool whose metadata is not that of the disk."""
    return on_disk("-p", image.write_to(folder / "meta.bin"))


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_whole_state_is_read_and_said(
    name: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    output = tmp_path / "junk.img"

    result = thinmeta("extract", name, "-o", output, *on_disk())

    assert result.exit_code == ExitCode.DONE
    assert hashlib.sha256(output.read_bytes()).hexdigest() == SHA256
    assert result.stderr.startswith(
        "Warning: vgthin/junk#16 was removed after version 16; it was device 6, created in "
        f"transaction 5; reading state {STATE}, the newest that has all of it: of its 75 blocks "
        "others have taken 0 since, 0 are shared, 75 free, and nobody can tell"
    )


@pytest.mark.parametrize(
    "command",
    [
        ("lookup", "junk", "0", "64K"),
        ("fate", "junk", "--verbose"),
        ("diff", "junk", "home"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_means_the_same_device(command: tuple[str, ...], thinmeta: Thinmeta) -> None:
    by_id = [f"6@{STATE}" if word == "junk" else word for word in command]

    named, numbered = (thinmeta(*words, *on_disk("-q")) for words in (command, by_id))

    assert (named.exit_code, numbered.exit_code) == (0, 0)
    known = {f"junk@{STATE}": f"6@{STATE}", "vgthin/junk#16": f"6@{STATE}"}
    text = named.stdout
    for name, number in known.items():
        text = text.replace(name, number)
    assert text.splitlines()[-1] == numbered.stdout.splitlines()[-1]
    assert named.stderr == ""


def test_what_was_taken_since_is_said(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """A leaf of another device now maps what the removed one had first."""
    image = DamagedImage.of(REAL.name)
    anatomy = Anatomy.of(REAL.name)
    device_id = max(anatomy.device_ids, key=lambda each: len(anatomy.leaves(each)))
    leaf = anatomy.leaves(device_id)[0].block
    fate = thinmeta("fate", f"6@{STATE}", "-f", "csv", "-p", unpacked(REAL.name)).stdout
    data_begin = int(fate.splitlines()[1].split(",")[2])
    values = image.values(leaf, image.keys(leaf).dtype)
    values[-1] = data_begin << 24 | int(values[-1]) & 0xFFFFFF
    image.restamp(leaf)

    result = thinmeta("lookup", "junk", "0", *disk_of(image, tmp_path))

    assert "of its 75 blocks others have taken 1 since, 0 are shared, 74 free" in result.stderr


def test_where_no_state_has_all_of_it_that_is_an_error(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(REAL.name)
    listed = thinmeta("scan", unpacked(REAL.name), "-f", "json").stdout.splitlines()
    for state in (each for each in map(json.loads, listed) if each["type"] == "state"):
        for device in state["devices"]:
            if (device["device_id"], device["transaction_id"]) == (6, 5):
                image.zero(device["mapping_root"])

    result = thinmeta("lookup", "junk", "0", *disk_of(image, tmp_path))

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, ""), result.stderr
    assert "vgthin/junk#16 was removed after version 16; it was device 6" in result.stderr
    assert "no state has all of it any more: it had 75 blocks; " in result.stderr


def test_an_older_state_is_not_taken_for_the_newest(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """The newest state of it is damaged; before, it had one block, and before that none."""
    with library.open_pool(unpacked(REAL.name)) as pool:
        root = pool.device(f"6@{STATE}").mapping_root
    image = DamagedImage.of(REAL.name)
    assert root is not None
    image.zero(root)
    words = disk_of(image, tmp_path)

    result = thinmeta("lookup", "junk", "0", *words)
    older = thinmeta("lookup", "junk@117:119", "0", *words)
    listed = thinmeta("deleted", *words)

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, ""), result.stderr
    assert (
        "no state has all of it any more: it had 75 blocks; junk@117:119 has 1 of the 1 that it "
        "had then\n"
    ) in result.stderr
    assert older.exit_code == ExitCode.DONE
    assert "device 6: state -:126, in which it had 75 blocks, has 0 of them\n" in listed.stdout


def test_a_block_that_cannot_be_read_may_hide_a_newer_state(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(unpacked(REAL.name).read_bytes())
    size = copy.stat().st_size
    free = size - 4096
    Path(f"{copy}.map").write_text(f"0 + 1\n0 {free} +\n{free} 4096 -\n")

    result = thinmeta("lookup", "junk", "0", *on_disk("-p", copy, "--bad-map", copy))

    assert result.exit_code == ExitCode.DONE
    assert "that cannot be read: 1, so a newer state may be missing\n" in result.stderr


def test_the_library_finds_it_too() -> None:
    names = library.NameSources(lvm=[str(real_disk())], lv="vgthin/pool0")
    with library.open_pool(names=names) as pool:
        found = pool.device("junk")
        assert (found.device_id, found.mapped_blocks, found.size) == (6, 75, 13 * 4 << 20)
        with pytest.raises(NotThereError, match="it is not in state"):
            pool.device("junk@67:69")
