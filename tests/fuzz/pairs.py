"""From a number a command and its inputs: which command is told by the number, the rest by chance.

To see what a number means, and to have its files:

    python -m tests.fuzz.pairs 1234 /tmp/folder
"""

import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import click
import numpy as np

from tests.cli.invocations import COMMANDS as ALL
from tests.damage import BLOCK, kind_of
from tests.files.small_ext2 import small_ext2
from tests.fuzz import hostile_pools, surroundings
from tests.fuzz.chance import Rng, pick
from tests.fuzz.damages import DAMAGES, MEANINGFUL, ODD_NUMBERS, Target
from tests.made_images import stamped
from tests.names.docker_roots import CASES as DOCKER_CASES
from thinmeta.cli import main as thinmeta
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.superblock import Superblock

# Name of the case, of the image, and whether its metadata snapshot is what is damaged.
REAL = (
    ("a02-empty-pool-min-metadata", "meta", False),
    ("a08-snapshots-of-snapshots", "meta", False),
    ("a09-discards-and-deletes", "meta", False),
    ("a13-metadata-snapshot-held", "meta", False),
    ("a13-metadata-snapshot-held", "meta", True),
    ("a18-large-device-ids", "meta", False),
    ("a20-transaction-ids", "meta", False),
    ("a26-deleted-volumes", "meta", False),
    ("c01-lvm-thin-one-pv", "meta", False),
)
_TICKETS = [damage for damage, share in (*DAMAGES, *MEANINGFUL) for _ in range(share)]

IMAGE, DATA = "in/meta.bin", "in/data.img"
OUTPUT = "out/result"
NR_DATA_BYTES = 24 << 20
"""Less than most devices map, so that there is an end of it to be met."""


@dataclass
class Pair:
    """A command, and what it is to work on.

    Attributes:
        args: the command line; its paths are relative to `folder`.
        folder: has the inputs in `in`; `out` is empty and takes the outputs.
        what: the metadata that it reads.
        image: the metadata as it is on a disk; None if what is read is something else.
    """

    command: str
    folder: Path
    what: str = ""
    image: bytes | None = None
    args: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=lambda: [1, 2, 3, 4])
    is_snapshot: bool = False

    def __str__(self) -> str:
        return f"cd {self.folder} && {shlex.join(['thinmeta', *self.args])}  # {self.what}"

    def has(self, *options: str) -> bool:
        """Tell whether one of these options is on the command line."""
        return any(option in self.args for option in options)

    def file(self, name: str, content: bytes) -> str:
        """Write an input and return its name."""
        (self.folder / name).write_bytes(content)
        return name


@cache
def _target(case: str, image: str, snapshot: bool) -> Target:
    return Target(case, image, snapshot=snapshot)


def _real(rng: Rng, pair: Pair, place: int | None = None) -> bytes:
    """Return the image of a real pool with a few damages, mostly with right checksums."""
    case, image, snapshot = REAL[int(rng.integers(len(REAL)) if place is None else place)]
    target = _target(case, image, snapshot)
    target.image.revert()
    names = []
    for _ in range(pick(rng, [0, 1, 1, 1, 1, 2, 2, 4, 8])):
        hit = pick(rng, _TICKETS)
        names.append(hit.__name__)
        with suppress(ValueError, IndexError):  # a header that was hit has no entries to hit
            hit(target, rng, target.any_block(rng))
    if rng.integers(6):
        if rng.integers(2):
            target.image.readdress(*target.image.edited)
        target.image.restamp(*target.image.edited)
    pair.what = f"{case} {image} {' '.join(names)}"
    pair.ids, pair.is_snapshot = target.device_ids or [1], snapshot
    return target.image.to_bytes()


def _hostile(rng: Rng, pair: Pair) -> bytes:
    kind, image = hostile_pools.any_pool(rng)
    pair.what = f"hostile {kind}"
    if rng.integers(4):
        return image
    pair.what += " and struck"
    changed = bytearray(image)
    nr_blocks = len(image) // BLOCK
    for _ in range(pick(rng, [1, 2, 5])):
        block = int(rng.integers(nr_blocks)) if rng.integers(3) else 0
        begin = block * BLOCK
        row = changed[begin : begin + BLOCK]
        salt = kind_of(np.frombuffer(bytes(row), dtype=np.uint8)) or 0
        at = 8 * int(rng.integers(1, pick(rng, [5, 50, 512])))
        number = pick(rng, ODD_NUMBERS) if rng.integers(2) else int(rng.integers(nr_blocks))
        row[at : at + 8] = (number % 2**64).to_bytes(8, "little")
        changed[begin : begin + BLOCK] = stamped(bytes(row), int(salt))
    return bytes(changed)


def _metadata(rng: Rng, pair: Pair) -> str:
    """Write metadata and return its name."""
    match int(rng.integers(20)):
        case 0:
            pair.what = "pack file"
            return pair.file("in/meta.pack", surroundings.odd_pack_file(rng))
        case 1:
            image = _real(rng, pair) if rng.integers(2) else _hostile(rng, pair)
            pair.what += " compressed"
            return pair.file("in/meta.packed", surroundings.odd_compressed(rng, image))
        case roll if roll < 11:
            pair.image = _real(rng, pair)
        case _:
            pair.image = _hostile(rng, pair)
    path = pair.folder / IMAGE
    with path.open("wb") as file:
        rows = np.frombuffer(pair.image[: len(pair.image) // BLOCK * BLOCK], dtype=np.uint8)
        rows = rows.reshape(-1, BLOCK)
        for number in np.flatnonzero(rows.any(axis=1)).tolist():
            os.pwrite(file.fileno(), rows[number].data, number * BLOCK)
        os.pwrite(file.fileno(), pair.image[rows.size :], rows.size)
        file.truncate(len(pair.image))
    return IMAGE


def _device(rng: Rng, pair: Pair) -> str:
    device = str(pick(rng, pair.ids))
    match int(rng.integers(14)):
        case 0:
            return f"root:{pick(rng, [0, 1, 2, 7, 300, 2**64 - 1])}"
        case 1:
            return f"{device}@snap"
        case 2:
            return f"{device}@{_state(rng)}"
        case 3:
            return pick(
                rng, ["0", "16777215", str(2**64 - 1), str(2**64), "x", "a\x1b[2Jb", "\u202e"]
            )
        case _:
            return device


def _state(rng: Rng) -> str:
    return pick(rng, ["live", "snap", "1", "2:3", "300:301", f"{2**64 - 1}:0", "0:0"])


def _number(rng: Rng) -> str:
    return str(
        pick(rng, [0, 1, 2, 100, 127, 128, 129, 4096, 2**21, 2**32, 2**40, 2**63, 2**64 - 1])
    )


def _size(rng: Rng) -> str:
    return pick(rng, ["0", "1", "512", "64K", "1000000", "32M", "128M", "65536s", "1T", "8E"])


def _dump(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 5, "--dev-id", str(pick(rng, pair.ids)))
    _sometimes(rng, pair, 8, "--skip-mappings")
    _sometimes(rng, pair, 4, "--repair")
    _sometimes(rng, pair, 10, "--nr-data-blocks", _number(rng))
    _sometimes(rng, pair, 10, "--transaction-id", _number(rng))


def _diff(rng: Rng, pair: Pair) -> None:
    pair.args += [_device(rng, pair), _device(rng, pair)]
    if rng.integers(3) == 0:
        pair.args += ["--files", "--data", _data_with_files(rng, pair)]
        _part_of_volume(rng, pair)
        return
    _sometimes(rng, pair, 4, "--verbose")
    _sometimes(rng, pair, 6, "--summary")


def _lookup(rng: Rng, pair: Pair) -> None:
    if rng.integers(3) == 0:
        files = ["/hello", "/", "/nothing"]
        words = [word for path in files[: pick(rng, [1, 1, 3])] for word in ("--file", path)]
        pair.args += [_device(rng, pair), *words, "--data", _data_with_files(rng, pair)]
        _volume(rng, pair)
        return
    blocks = [pick(rng, ["0", "1", "70", "64K", "8s", _number(rng)]) for _ in range(3)]
    pair.args += [_device(rng, pair), *blocks]
    _sometimes(rng, pair, 3, "--all-sharers")
    _sometimes(rng, pair, 3, "--path")


def _ls(rng: Rng, pair: Pair) -> None:
    fields = [
        "DEV",
        "EXCLUSIVE_BLOCKS",
        "HIGHEST_BYTE",
        "NEW",
        "RUNS",
        "NAME",
        "MAPPED",
        "SNAP_TIME",
    ]
    chosen = [name for name in fields if rng.integers(2)]
    _sometimes(rng, pair, 2, "-o", ",".join(chosen) or "DEV")
    _sometimes(rng, pair, 4, "--tree")
    _sometimes(rng, pair, 4, "--together", "1,2", "--together", "1")
    _sometimes(rng, pair, 4, "--sort", f"-{fields[int(rng.integers(len(fields)))]}")


def _rmap(rng: Rng, pair: Pair) -> None:
    regions = [
        "0..100",
        "0..1000000",
        "0..18446744073709551615",
        "5..6",
        "0..1G",
        "100..50",
        "0..1E",
    ]
    for _ in range(pick(rng, [1, 1, 2])):
        pair.args += ["--region", pick(rng, regions)]
    if rng.integers(3) == 0:
        pair.args += ["--files", "--data", _data_with_files(rng, pair)]
        _part_of_volume(rng, pair)


def _info(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 2, "--histograms")


def _check(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 8, "--skip-mappings")
    _sometimes(rng, pair, 12, "--super-block-only")
    _sometimes(rng, pair, 8, "--ignore-non-fatal")
    _sometimes(rng, pair, 8, "--mapping-root", _number(rng))
    _sometimes(rng, pair, 8, "--details-root", _number(rng))


def _block(rng: Rng, pair: Pair) -> None:
    blocks = [str(int(rng.integers(400))) if rng.integers(8) else _number(rng) for _ in range(3)]
    pair.args += ["--diff", *blocks[:2]] if rng.integers(4) == 0 else blocks[: pick(rng, [1, 2, 3])]
    _sometimes(rng, pair, 3, "--all")
    _sometimes(rng, pair, 6, "--raw")


def _scan(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 3, "--all")


def _fate(rng: Rng, pair: Pair) -> None:
    states = ["1", "2:3", "snap", _state(rng), str(int(rng.integers(400)))]
    spec = f"{pick(rng, pair.ids)}@{pick(rng, states)}"
    pair.args.append(pick(rng, [spec, spec, f"root:{int(rng.integers(400))}", _device(rng, pair)]))
    _sometimes(rng, pair, 3, "--verbose")


def _layers(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 2, pick(rng, ["25", "dead1", "1", "demo", "busybox:latest", "\x1b[1m"]))


def _commit(rng: Rng, pair: Pair) -> None:
    containers = ["dead1", "runner", "25", "1", "demo:latest", _device(rng, pair), "\x1b[1m"]
    pair.args += [pick(rng, containers), pick(rng, [*4 * ["a", "a/b:c"], "A", "\x1b[1m"])]
    pair.args += ["--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 4, "--message", "\x1b[1m")


def _save(rng: Rng, pair: Pair) -> None:
    pair.args += [pick(rng, ["demo:latest", "demo2", "dead1", "1", "sha256:00", "\x1b[1m"])]
    pair.args += ["--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 2, "--unproven")
    _sometimes(rng, pair, 4, "--search-seconds", pick(rng, ["0", "0.1", "-1"]))


def _data(pair: Pair) -> str:
    path = pair.folder / DATA
    path.touch()
    os.truncate(path, NR_DATA_BYTES)
    return DATA


def _extract(rng: Rng, pair: Pair) -> None:
    pair.args.append(_device(rng, pair))
    if rng.integers(10):
        pair.args += ["--data", _data(pair)]
    if rng.integers(10):
        pair.args += ["--size", _size(rng)]


def _files(rng: Rng, pair: Pair) -> None:
    pair.args += [_device(rng, pair), "--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 3, "-l")
    _sometimes(rng, pair, 3, "-R")
    _sometimes(rng, pair, 6, "-0")
    _volume(rng, pair)


def _cat(rng: Rng, pair: Pair) -> None:
    pair.args += [_device(rng, pair), "/hello", "--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 4, "/", "/nothing")
    _volume(rng, pair)


def _tar(rng: Rng, pair: Pair) -> None:
    pair.args += [_device(rng, pair), "--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 4, "/hello")
    _volume(rng, pair)


def _copy(rng: Rng, pair: Pair) -> None:
    pair.args += [_device(rng, pair), pick(rng, ["/", "/hello"])]
    _sometimes(rng, pair, 4, "/nothing")
    pair.args += [OUTPUT, "--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 4, "--force")
    _sometimes(rng, pair, 4, "--archive")
    _volume(rng, pair)


def _export(rng: Rng, pair: Pair) -> None:
    pair.args += [_device(rng, pair), "--data", _data_with_files(rng, pair)]
    _sometimes(rng, pair, 2, "--as", "23")
    _any_volume(rng, pair)


def _volume(rng: Rng, pair: Pair) -> None:
    _any_volume(rng, pair)
    _sometimes(rng, pair, 4, "--all")


def _any_volume(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 4, "--size", _size(rng))
    _part_of_volume(rng, pair)


def _part_of_volume(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 8, "--partition", pick(rng, ["1", "5", str(2**64 - 1)]))
    _sometimes(rng, pair, 4, "--no-replay")


def _data_with_files(rng: Rng, pair: Pair) -> str:
    """Write a data device with an ext2, which may be damaged, in many of its blocks."""
    name = _data(pair)
    content = bytearray(small_ext2())
    for _ in range(pick(rng, [0, 0, 1, 4, 50])):
        content[int(rng.integers(1024, len(content)))] = int(rng.integers(256))
    with (pair.folder / name).open("r+b") as file:
        for begin in range(0, NR_DATA_BYTES, 65536):
            os.pwrite(file.fileno(), content, begin)
    return name


def _table(rng: Rng, pair: Pair) -> None:
    if rng.integers(8):
        pair.args.append(_device(rng, pair))
    match int(rng.integers(6)):
        case 0:
            pair.args += ["--dm-table", pair.file("in/table", surroundings.any_dm_table(rng))]
        case 1 | 2:
            pair.args += ["--linear", "/dev/mapper/data"]
        case 3:
            pair.args += ["--data", _data(pair)]
        case _:
            pass
    _sometimes(rng, pair, 10, "--name", pick(rng, ["x y", "a\nb", "\x1b[2J", ""]))
    if rng.integers(6):
        pair.args += ["--size", _size(rng)]


def _repair(rng: Rng, pair: Pair) -> None:
    _sometimes(rng, pair, 8, "--metadata-size", pick(rng, ["1", "10", "512", "16M", "16G", "1E"]))
    _sometimes(rng, pair, 12, "--nr-data-blocks", _number(rng))
    _sometimes(rng, pair, 12, "--transaction-id", _number(rng))


def _undelete(rng: Rng, pair: Pair) -> None:
    specs = [f"{pick(rng, pair.ids)}@{pick(rng, [_state(rng), *_live_roots(pair)])}"]
    _repair(rng, pair)
    pair.args += [*specs, *(_device(rng, pair) for _ in range(pick(rng, [0, 0, 0, 1, 2])))]


def _live_roots(pair: Pair) -> list[str]:
    """Return the live state as if it were a past one, several times, for it is often there."""
    if pair.image is None or len(pair.image) < BLOCK:
        return []
    superblock = np.frombuffer(pair.image, dtype=dtype_of(Superblock), count=1)[0]
    return 4 * [f"{superblock['data_mapping_root']}:{superblock['device_details_root']}"]


def _nothing(rng: Rng, pair: Pair) -> None:
    """For a command that takes metadata only."""


def _lvm(rng: Rng, pair: Pair) -> None:
    """Add disks or texts, which are all that it reads."""
    if rng.integers(3):
        disk = surroundings.lvm_disk(rng, _hostile(rng, pair))
        pair.args.append(pair.file("in/pv.img", disk) + str(pick(rng, ["", "@0", "@1M", "@x"])))
    if len(pair.args) == 1 or rng.integers(3) == 0:
        pair.args.append(pair.file("in/lvm.txt", surroundings.any_lvm_text(rng)))


COMMANDS = [each for each in ALL if each not in ("as", "install-names", "size")]
"""Those that read metadata under its own name."""

OWN: dict[str, Callable[[Rng, Pair], None]] = {
    "block": _block,
    "cat": _cat,
    "check": _check,
    "commit": _commit,
    "copy": _copy,
    "deleted": _nothing,
    "diff": _diff,
    "dump": _dump,
    "export": _export,
    "extract": _extract,
    "fate": _fate,
    "files": _files,
    "info": _info,
    "layers": _layers,
    "lookup": _lookup,
    "ls": _ls,
    "lvm": _lvm,
    "pack": _nothing,
    "repair": _repair,
    "rmap": _rmap,
    "save": _save,
    "scan": _scan,
    "table": _table,
    "tar": _tar,
    "undelete": _undelete,
    "unpack": _nothing,
}
"""What a command takes beside metadata and what others take, too."""


def _sometimes(rng: Rng, pair: Pair, one_in: int, *words: str) -> None:
    if rng.integers(one_in) == 0:
        pair.args += words


def _options(command: str) -> dict[str, click.Parameter]:
    found = thinmeta.get_command(click.Context(thinmeta), command)
    assert found is not None
    return {option: param for param in found.params for option in param.opts}


def _names(rng: Rng, pair: Pair, options: dict[str, click.Parameter]) -> None:
    """Add who names devices."""
    if "--containerd-root" in options and (
        rng.integers(3) == 0 if pair.command == "layers" else rng.integers(16) == 0
    ):
        surroundings.odd_containerd_root(rng, pair.folder / "in/containerd")
        pair.args += ["--containerd-root", "in/containerd"]
    elif "--docker-root" in options and (
        pair.command in ("commit", "layers") or rng.integers(8) == 0
    ):
        surroundings.odd_docker_root(rng, pick(rng, DOCKER_CASES), pair.folder / "in/docker")
        pair.args += ["--docker-root", "in/docker"]
    elif "--lvm" in options and rng.integers(6) == 0:
        pair.args += ["--lvm", pair.file("in/lvm.txt", surroundings.any_lvm_text(rng))]
        if rng.integers(4):
            pair.args += ["--lv", surroundings.LVM_POOL]


def _shared_options(rng: Rng, pair: Pair, options: dict[str, click.Parameter]) -> None:
    """Add options that many commands have."""
    formats = getattr(options.get("--format"), "type", None)
    if isinstance(formats, click.Choice) and rng.integers(2):
        pair.args += ["-f", str(pick(rng, list(formats.choices)))]
    for option, one_in, value in (
        ("--salvage", 3, None),
        ("--compat", 5, "0.9"),
        ("--metadata-snap", 2 if pair.is_snapshot else 12, None),
        ("--state", 12, _state(rng)),
        ("--data-block-size", 12, _number(rng)),
        ("--ignore-unsupported", 6, None),
        ("--quiet", 8, None),
    ):
        if option in options:
            _sometimes(rng, pair, one_in, option, *([value] if value else []))
    makers = ("extract", "repair", "restore", "undelete", "unpack")
    output = 1 if pair.command in makers else 4
    if "--output" in options:
        _sometimes(rng, pair, output, "--output", OUTPUT)


def make(seed: int, folder: Path) -> Pair:
    """Write into an empty folder what `seed` means, and return it."""
    rng = np.random.default_rng(seed)
    for name in ("in", "out"):
        (folder / name).mkdir()
    command = COMMANDS[seed % len(COMMANDS)]
    pair = Pair(command, folder, args=[command])
    options = _options(command)
    if command == "restore":
        pair.what = "xml"
        pair.args += ["-i", pair.file("in/pool.xml", surroundings.any_xml(rng))]
        _repair(rng, pair)
    elif command == "lvm":
        _lvm(rng, pair)
    elif "--lvm" in options and rng.integers(12) == 0:
        disk = surroundings.lvm_disk(rng, _hostile(rng, pair))
        pair.args += ["--lvm", pair.file("in/pv.img", disk), "--lv", "vg/pool"]
        OWN[command](rng, pair)
    else:
        metadata = _metadata(rng, pair)
        OWN[command](rng, pair)
        pair.args += ["--pool", metadata]
        _names(rng, pair, options)
    _shared_options(rng, pair, options)
    return pair


def main() -> None:
    """Make the files of a number in a folder and print the command line."""
    seed, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True)
    sys.stdout.write(f"{make(seed, folder)}\n")


if __name__ == "__main__":
    main()
