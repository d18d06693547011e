"""After a crash, what is read above the log is what the kernel shows once it replayed it."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.device.test_loop_device import attach, detach
from tests.files.crash_images import Burst, crashed, read_by
from tests.files.image_source import BytesSource
from tests.files.mounted import mkfs_xfs, mounted, needs_xfsprogs
from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.overlay import Replay
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.log import replay_log
from thinmeta.files.xfs.log_records import LogRecords
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.volume.xfs_log import LogPlace, log_cycle

pytestmark = [pytest.mark.loop_device, needs_xfsprogs]


class Variant(NamedTuple):
    """A way to make a file system, and to mount it."""

    mkfs: str
    options: str = ""
    rounds: int = 600


VARIANTS = [
    Variant(""),
    Variant("-m rmapbt=1"),
    Variant("-i nrext64=1"),
    Variant("-i size=1024"),
    Variant("-n size=16384"),
    Variant("-b size=1024 -n size=65536"),
    Variant("-m bigtime=0,reflink=0"),
    Variant("-s size=4096"),
    Variant("-l sunit=64", "logbsize=256k"),
    Variant("-m rmapbt=0,reflink=0", "logbsize=256k", rounds=6000),  # it goes round
    Variant("-m rmapbt=0,reflink=0", rounds=6000),
]


def made(image: Path, mkfs: str) -> Path:
    return mkfs_xfs(image, 128 << 20, *mkfs.split())


def replayed(image: Path) -> Replay:
    cache = Cache(BytesSource(image.read_bytes()))
    return replay_log(Xfs(cache), cache)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_file_is_what_the_kernel_shows(variant: Variant, tmp_path: Path) -> None:
    image = made(tmp_path / "xfs.img", variant.mkfs)
    crash = crashed(image, Burst(1, variant.rounds), variant.options, ("xfs_repair", "-n"))

    replay = replayed(image)

    cache = Cache(replay.source)
    assert (replay.nr_transactions > 2, replay.fault) == (True, None)
    assert read_by(Xfs(cache), cache) == crash.truth
    source = BytesSource(image.read_bytes())
    log = Xfs(Cache(source)).log
    assert log is not None
    has_gone_round = log_cycle(LogRecords(source, LogPlace(*log)).find().last) > 1
    assert has_gone_round == (variant.rounds > 1000)


def test_what_was_unmounted_has_nothing_to_replay(tmp_path: Path) -> None:
    image = made(tmp_path / "xfs.img", "")
    with mounted(image, tmp_path / "mnt"):
        Burst(1, 100)(tmp_path / "mnt")
    cache = Cache(BytesSource(image.read_bytes()))

    assert replay_log(Xfs(cache), cache) == Replay(cache.source, 0, None)


def test_a_log_elsewhere_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "log.img"
    with file.open("wb") as disk:
        disk.truncate(64 << 20)
    device = attach(file)
    try:
        image = made(tmp_path / "xfs.img", f"-l logdev={device}")
    finally:
        detach(device)

    with pytest.raises(UnsupportedFormatError, match=r"on another device.*--no-replay"):
        replayed(image)
