"""After a crash, what is read above the journal is what the kernel shows once it replayed it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.device.test_loop_device import attach, detach
from tests.files.crash_images import Burst, crashed, read_by, shut_down, tool
from tests.files.image_source import BytesSource
from tests.files.mounted import mounted, run
from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.ext.journal import replay_journal
from thinmeta.files.overlay import Replay
from thinmeta.files.reading import Cache

pytestmark = pytest.mark.loop_device

FSCK = ("e2fsck", "-fn")


class Variant(NamedTuple):
    """A way to make a file system, to mount it, and a feature that its journal then has."""

    mke2fs: str
    options: str = ""
    journal: str = ""
    rounds: int = 400


_ASYNC = "journal_async_commit"
VARIANTS = [
    Variant("-t ext4", journal="journal_64bit journal_checksum_v3"),
    Variant("-t ext4 -O ^64bit", journal="journal_checksum_v3"),
    Variant("-t ext4 -O ^64bit,^metadata_csum -b 1024"),
    Variant("-t ext4 -O ^metadata_csum", "journal_checksum", "journal_checksum"),
    Variant(
        "-t ext4 -O ^metadata_csum", "data=writeback,journal_async_commit", "journal_async_commit"
    ),
    Variant("-t ext4", "data=journal,journal_async_commit", "journal_async_commit"),
    Variant("-t ext4 -b 1024 -J size=1", rounds=1500),  # it goes round
    Variant("-t ext4 -O fast_commit -E lazy_itable_init=0"),
    Variant("-t ext4 -O bigalloc,inline_data,ea_inode -I 512"),
    Variant("-t ext3"),
]


def made(image: Path, mke2fs: str) -> Path:
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run(tool("mke2fs"), "-q", "-F", *mke2fs.split(), image)
    return image


def replayed(image: Path) -> Replay:
    cache = Cache(BytesSource(image.read_bytes()))
    return replay_journal(Ext4(cache), cache)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_file_is_what_the_kernel_shows(variant: Variant, tmp_path: Path) -> None:
    image = made(tmp_path / "ext.img", variant.mke2fs)
    crash = crashed(image, Burst(1, variant.rounds), variant.options, FSCK)
    about = run("dumpe2fs", "-h", image).decode()
    assert variant.journal in about
    assert "needs_recovery" in about

    replay = replayed(image)

    cache = Cache(replay.source)
    assert (replay.nr_transactions > 2, replay.fault) == (True, None)
    assert read_by(Ext4(cache), cache) == crash.truth


@pytest.mark.parametrize("version", ["2", "3"])
def test_checksums_of_versions_that_the_kernel_wrote_once(version: str, tmp_path: Path) -> None:
    """Nothing but debugfs still writes those of version 2."""
    image = made(tmp_path / "ext.img", "-t ext4 -b 1024")
    escaped = bytes.fromhex("c03b3998").ljust(1024, b"\x77")
    contents = {"one": b"\x11" * 1024, "two": b"\x22" * 1024 + escaped, "new": b"\x33" * 1024}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    requests = tmp_path / "requests"
    requests.write_text(
        f"jo -c -v {version}\n"
        + "".join(
            f"jw {what}\n"
            for what in (
                f"-b 20000 {tmp_path / 'one'}",
                f"-b 20001,20002 {tmp_path / 'two'}",
                "-r 20000,20001",
                f"-b 20001 {tmp_path / 'new'}",
            )
        )
        + "jc\n"
    )
    run("debugfs", "-w", "-f", requests, image)
    assert f"journal_checksum_v{version}" in run("dumpe2fs", "-h", image).decode()

    replay = replayed(image)

    assert (replay.nr_transactions, replay.fault) == (4, None)
    found = Cache(replay.source).read(20000 * 1024, 3 * 1024)
    assert found == bytes(1024) + contents["new"] + escaped
    with mounted(image, tmp_path / "mnt"):
        pass
    assert image.read_bytes()[20000 * 1024 : 20003 * 1024] == found


def test_fast_commits_are_refused_by_name(tmp_path: Path) -> None:
    image = made(tmp_path / "ext.img", "-t ext4 -O fast_commit")

    def work(mount: Path) -> None:
        for name in ("first", "second"):
            with (mount / name).open("wb") as file:
                file.write(b"x" * 10000)
                file.flush()
                run(tool("xfs_io"), "-x", "-c", "fsync", mount / name)

    crashed(image, work, "", FSCK)

    with pytest.raises(UnsupportedFormatError, match=r"fast commits.*--no-replay"):
        replayed(image)


@contextmanager
def journal_device(file: Path) -> Iterator[Path]:
    with file.open("wb") as disk:
        disk.truncate(16 << 20)
    run(tool("mke2fs"), "-q", "-F", "-b", "4096", "-O", "journal_dev", file)
    device = attach(file)
    yield device
    detach(device)


def test_a_journal_elsewhere_is_refused_by_name(tmp_path: Path) -> None:
    with journal_device(tmp_path / "journal.img") as device:
        image = made(tmp_path / "ext.img", f"-t ext4 -b 4096 -J device={device}")
        shut_down(image, Burst(1, 30))

    with pytest.raises(UnsupportedFormatError, match=r"on another device.*--no-replay"):
        replayed(image)


def test_a_file_system_without_a_journal_has_none_to_replay(tmp_path: Path) -> None:
    image = made(tmp_path / "ext.img", "-t ext2")
    cache = Cache(BytesSource(image.read_bytes()))

    assert replay_journal(Ext4(cache), cache) == Replay(cache.source, 0, None)
