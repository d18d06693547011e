#!/usr/bin/env python3
"""Time thinmeta against the reference tools: the same file, whole processes, in turn.

    tools/reference-tools .reference-tools
    .venv/bin/python tools/benchmark.py

Pools are generated with thin_restore 1.1.0 and kept, with all outputs, in a
directory that should be on tmpfs. Each row is the median of several runs, taken in
turn so that a busy moment hits all alike; `ratio` is against the row's first command.
"""

import argparse
import compileall
import hashlib
import json
import lzma
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FIXTURES = CHECKOUT / "fixtures"
PYTHON = str(CHECKOUT / ".venv/bin/python")
THINMETA = str(CHECKOUT / ".venv/bin/thinmeta")
BLOCK_BYTES = 64 << 10  # what the generated pools have
LINES_AT_ONCE = 1000

# The peak of a process is at least that of the one that starts it; so this one does, which is
# small, and says seconds, seconds, KiB and exit status.
_STARTER = """
import os, sys, time
nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (1, 2)]
begin = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=nowhere)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, status)
"""
_NOT_OURS = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
"""What may be set where this runs, and slows Python down as nobody's is."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process took: seconds, seconds, and MiB at its peak."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True, slots=True)
class Case:
    """Commands to compare, by their label; each does the same job."""

    name: str
    commands: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that must not become larger.

    Attributes:
        name: what it is.
        at_most: how large it may be.
        commands: what is measured, by label.
        value: the number, from their samples.
        repeat: how often each is run.
    """

    name: str
    at_most: float
    commands: dict[str, list[str]]
    value: Callable[[dict[str, Sample]], float]
    repeat: int = 5


class Bench:
    """Where the pools and the reference tools are."""

    def __init__(self, directory: Path, reference: Path) -> None:
        """Make the directory."""
        self.directory = directory
        self.reference = reference
        self._mounted: list[Path] = []
        directory.mkdir(parents=True, exist_ok=True)

    def old(self, tool: str) -> str:
        """Return the path of a tool of 0.9.0."""
        return str(self.reference / "0.9.0" / tool)

    def new(self, tool: str) -> str:
        """Return the path of a tool of 1.1.0."""
        return str(self.reference / "1.1.0" / tool)

    @property
    def output(self) -> str:
        """Return where a command may write; all write to the same place."""
        return str(self.directory / "output")

    def fixture(self, case: str) -> str:
        """Return a fixture's image, unpacked."""
        path = self.directory / f"{case}.bin"
        if not path.exists():
            with lzma.open(FIXTURES / case / "meta.bin.xz") as packed, path.open("wb") as file:
                shutil.copyfileobj(packed, file)
        return str(path)

    def restored(self, name: str, metadata_mib: int, lines: Callable[[], Iterator[str]]) -> str:
        """Return an image made by thin_restore from generated XML."""
        path = self.directory / f"{name}.bin"
        if not path.exists():
            xml = self.directory / f"{name}.xml"
            with xml.open("w") as file:
                file.writelines(lines())
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                file.truncate(metadata_mib << 20)
            subprocess.run(
                [self.new("thin_restore"), "-q", "-i", str(xml), "-o", str(part)], check=True
            )
            part.rename(path)
            xml.unlink()
        return str(path)

    def docker_root(self, nr_files: int) -> str:
        """Return a Docker root with the metadata of so many devices, and nothing else."""
        path = self.directory / f"docker-{nr_files}"
        folder = path / "devicemapper/metadata"
        if not folder.exists():
            folder.mkdir(parents=True)
            for number in range(1, nr_files + 1):
                device = {"device_id": number, "size": 10 << 30, "transaction_id": number}
                name = hashlib.sha256(str(number).encode()).hexdigest()
                (folder / name).write_text(json.dumps({**device, "initialized": False}))
        return str(path)

    def data(self, name: str, nr_blocks: int, step: int) -> str:
        """Return a data device of which every `step`th block is random, the rest a hole."""
        path = self.directory / f"{name}.data"
        if not path.exists():
            with path.open("wb") as file:
                for block in range(nr_blocks):
                    file.seek(block * step * BLOCK_BYTES)
                    file.write(os.urandom(BLOCK_BYTES))
        return str(path)

    def mounted(self, image: str) -> str:
        """Return where a file system is mounted, read-only; needs root."""
        folder = self.directory / "mounted"
        if folder not in self._mounted:
            folder.mkdir(exist_ok=True)
            subprocess.run(["mount", "-o", "loop,ro", image, folder], check=True)
            self._mounted.append(folder)
        return str(folder)

    def unmount(self) -> None:
        """Unmount all that was mounted."""
        while self._mounted:
            subprocess.run(["umount", self._mounted.pop()], check=True)

    def single_mappings(self, nr_mappings: int) -> str:
        """Return a pool of four devices written in turn: no two mappings make a run."""
        mib = max(16, nr_mappings * 20 >> 20)
        return self.restored(
            f"single-{nr_mappings}", mib, lambda: _interleaved(nr_mappings // 4, 4)
        )

    def unordered(self) -> str:
        """Return a pool of two devices, 4 million mappings in no order at all."""
        return self.restored("unordered", 256, _unordered)

    def large_and_small(self) -> str:
        """Return a pool of one device of a million mappings and one of a hundred."""
        return self.restored("large-and-small", 64, lambda: _large_and_small(1_000_000))


def _superblock(nr_data_blocks: int) -> str:
    return (
        '<superblock uuid="" time="1" transaction="1" version="2" data_block_size="128"'
        f' nr_data_blocks="{nr_data_blocks}">\n'
    )


def _mapping(origin_block: int, data_block: int, time: int) -> str:
    return (
        f'<single_mapping origin_block="{origin_block}" data_block="{data_block}" time="{time}"/>\n'
    )


def _device(device_id: int, nr_mappings: int, step: int, first: int) -> Iterator[str]:
    yield (
        f'<device dev_id="{device_id}" mapped_blocks="{nr_mappings}" transaction="0"'
        ' creation_time="0" snap_time="0">\n'
    )
    for begin in range(0, nr_mappings, LINES_AT_ONCE):
        yield "".join(
            _mapping(block, first + step * block, 0)
            for block in range(begin, min(begin + LINES_AT_ONCE, nr_mappings))
        )
    yield "</device>\n"


def _interleaved(nr_mappings: int, nr_devices: int) -> Iterator[str]:
    yield _superblock(nr_mappings * nr_devices * 2)
    for place in range(nr_devices):
        yield from _device(place + 1, nr_mappings, nr_devices, place)
    yield "</superblock>\n"


def _unordered() -> Iterator[str]:
    """Two devices of 2**21 blocks, no two of which are as far apart as their neighbours."""
    half = 1 << 21
    yield _superblock(2 * half)
    for side in range(2):
        yield (
            f'<device dev_id="{side + 1}" mapped_blocks="{half}" transaction="0"'
            ' creation_time="0" snap_time="0">\n'
        )
        for begin in range(0, half, LINES_AT_ONCE):
            end = min(begin + LINES_AT_ONCE, half)
            numbers = range(begin + side * half, end + side * half)
            # Triangular numbers modulo a power of 2 are each number once.
            yield "".join(
                _mapping(block, number * (number + 1) // 2 % (2 * half), 0)
                for block, number in enumerate(numbers, begin)
            )
        yield "</device>\n"
    yield "</superblock>\n"


def _large_and_small(nr_mappings: int) -> Iterator[str]:
    yield _superblock(3 * nr_mappings)
    yield from _device(1, nr_mappings, 2, 0)
    yield from _device(2, 100, 2, 1)
    yield "</superblock>\n"


def dump_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta dump` and of start-up."""

    def dumps(name: str, image: str, *args: str) -> Case:
        commands = {
            "thin_dump 1.1.0": [bench.new("thin_dump"), *args, image, "-o", bench.output],
            "thinmeta": [THINMETA, "dump", *args, image, "-o", bench.output],
            "thin_dump 0.9.0": [bench.old("thin_dump"), *args, image, "-o", bench.output],
            "thinmeta --compat 0.9": [
                *[THINMETA, "dump", "--compat", "0.9", *args, image],
                *["-o", bench.output],
            ],
        }
        return Case(name, commands)

    yield dumps("dump, 10 million mappings", bench.single_mappings(10_000_000))
    yield dumps("dump, 1 million mappings", bench.single_mappings(1_000_000))
    yield dumps("dump, shared subtrees", bench.fixture("d02-shared-subtrees"))
    yield dumps("dump --dev-id, small of large", bench.large_and_small(), "--dev-id", "2")
    smallest = bench.fixture("a02-empty-pool-min-metadata")
    yield dumps("dump, smallest image", smallest)
    imports = "import numpy, construct, click"
    yield Case(
        "start-up of dump",
        {
            imports: [PYTHON, "-c", imports],
            "thinmeta dump": [THINMETA, "dump", smallest, "-o", bench.output],
        },
    )
    yield Case(
        "start-up of --help",
        {
            "import click": [PYTHON, "-c", "import click"],
            "thinmeta --help": [THINMETA, "--help"],
        },
    )


def _snapshots(nr_mappings: int, nr_changed: int) -> Iterator[str]:
    """Two snapshots of one volume: a leaf apart around each block that differs."""
    window = nr_mappings // nr_changed
    private = 300
    yield _superblock(2 * nr_mappings + 1)
    for number in range(nr_changed):
        begin, end = number * window + private, (number + 1) * window
        yield f'<def name="{number}">\n'
        yield "".join(_mapping(block, 2 * block, 0) for block in range(begin, end))
        yield "</def>\n"
    for side in range(2):
        yield (
            f'<device dev_id="{side + 1}" mapped_blocks="{nr_mappings}" transaction="0"'
            f' creation_time="{side}" snap_time="1">\n'
        )
        for number in range(nr_changed):
            begin = number * window
            changed = begin + private // 2
            yield "".join(
                _mapping(block, 2 * block + (side and block == changed), 0)
                for block in range(begin, begin + private)
            )
            yield f'<ref name="{number}"/>\n'
        yield "</device>\n"
    yield "</superblock>\n"


def diff_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta diff`, for text and for thin_delta's XML."""

    def diffs(name: str, image: str) -> Case:
        delta = ["--thin1", "1", "--thin2", "2", image]
        ours = [THINMETA, "diff", "1", "2", "-p", image, "-o", bench.output]
        commands = {
            "thin_delta 1.1.0": [bench.new("thin_delta"), *delta],
            "thinmeta diff": ours,
            "thinmeta diff -f xml": [*ours, "-f", "xml"],
        }
        return Case(name, commands)

    large = 10_000_000
    related = bench.restored("snapshots", 512, lambda: _snapshots(large, 1000))
    yield diffs("diff, 1000 of 10 million differ", related)
    unrelated = bench.restored("unrelated", 512, lambda: _interleaved(large, 2))
    yield diffs("diff, 10 million unrelated", unrelated)


def ls_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta ls`; thin_ls waits in steps of half a second."""

    def lists(name: str, image: str, *args: str) -> Case:
        commands = {
            "thin_ls 1.1.0": [bench.new("thin_ls"), *args, image],
            "thinmeta ls": [THINMETA, "ls", *args, image],
        }
        return Case(name, commands)

    sharing = ["-o", "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS"]
    large = 10_000_000
    single = bench.single_mappings(large)
    yield lists("ls, 10 million mappings", single, *sharing)
    related = bench.restored("snapshots", 512, lambda: _snapshots(large, 1000))
    yield lists("ls, two snapshots", related, *sharing)
    yield lists("ls, details only", single, "-o", "DEV,TRANSACTION")
    yield Case(
        "ls, more than thin_ls",
        {
            "thinmeta ls -o DEV,NEW,RUNS": [THINMETA, "ls", "-o", "DEV,NEW,RUNS", single],
            "thinmeta ls --tree": [THINMETA, "ls", "--tree", single],
        },
    )


def rmap_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta rmap`."""

    def maps(name: str, image: str, region: str) -> Case:
        commands = {
            "thin_rmap 1.1.0": [bench.new("thin_rmap"), "--region", region, image],
            "thinmeta rmap": [THINMETA, "rmap", "--region", region, image],
        }
        return Case(name, commands)

    single = bench.single_mappings(10_000_000)
    yield maps("rmap, all of 10 million", single, "0..20000000")
    yield maps("rmap, 1000 blocks of 10 million", single, "0..1000")
    unordered = bench.unordered()
    yield maps("rmap, 4 million in no order", unordered, "0..4194304")


def fate_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta fate`: of all of a device, next to a listing of the pool."""

    def fates(name: str, image: str, device: str) -> Case:
        commands = {
            "thinmeta dump": [THINMETA, "dump", image, "-o", bench.output],
            "thinmeta fate": [THINMETA, "fate", device, "-p", image, "-o", bench.output],
        }
        return Case(name, commands)

    yield fates("fate, 2.5 of 10 million", bench.single_mappings(10_000_000), "1")
    unordered = bench.unordered()
    yield fates("fate, 2 of 4 million, no order", unordered, "1")


def _packed(bench: Bench, image: str) -> str:
    path = Path(image).with_suffix(".pack")
    if not path.exists():
        words = [bench.new("thin_metadata_pack"), "-f", "-i", image, "-o", str(path)]
        subprocess.run(words, check=True)
    return str(path)


def pack_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta pack`."""

    def packs(name: str, image: str) -> Case:
        reference = [bench.new("thin_metadata_pack"), "-f", "-i", image, "-o", bench.output]
        commands = {
            "thin_metadata_pack 1.1.0": reference,
            "thinmeta pack": [THINMETA, "pack", image, "-o", bench.output],
        }
        return Case(f"pack, {name}", commands)

    yield packs("10 million mappings", bench.single_mappings(10_000_000))
    yield packs("4 million in no order", bench.unordered())


def unpack_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta unpack`, of what thin_metadata_pack packed."""

    def unpacks(name: str, image: str) -> Case:
        packed = _packed(bench, image)
        reference = [bench.new("thin_metadata_unpack"), "-f", "-i", packed, "-o", bench.output]
        commands = {
            "thin_metadata_unpack 1.1.0": reference,
            "thinmeta unpack": [THINMETA, "unpack", packed, "-o", bench.output],
        }
        return Case(f"unpack, {name}", commands)

    yield unpacks("10 million mappings", bench.single_mappings(10_000_000))
    yield unpacks("4 million in no order", bench.unordered())


def check_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta check`; thin_check waits in steps of half a second."""

    def checks(name: str, image: str) -> Case:
        commands = {
            "thin_check 1.1.0": [bench.new("thin_check"), image],
            "thinmeta check": [THINMETA, "check", image],
        }
        return Case(name, commands)

    yield checks("check, 10 million mappings", bench.single_mappings(10_000_000))
    yield checks("check, 1 million mappings", bench.single_mappings(1_000_000))
    yield checks("check, 160 million data blocks", bench.fixture("d02-shared-subtrees"))


def extract_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta extract`, against cp of the same bytes."""

    def extracts(name: str, image: str, nr_blocks: int, step: int) -> Case:
        data = bench.data(name, nr_blocks, step)
        whole = bench.directory / f"{name}.whole"
        words = [THINMETA, "extract", "1", "-p", image, "--data", data]
        words += ["--size", f"{nr_blocks * BLOCK_BYTES}b"]
        subprocess.run([*words, "-o", str(whole)], check=True)
        commands = {
            "cp --sparse=always": ["cp", "--sparse=always", str(whole), bench.output],
            "thinmeta extract": [*words, "-o", bench.output],
        }
        return Case(f"extract, {name}", commands)

    blocks = 32768
    in_turn = bench.restored("in-turn", 16, lambda: _interleaved(blocks, 4))
    yield extracts("2 GiB in 64 KiB pieces", in_turn, blocks, 4)
    in_order = bench.restored("in-order", 16, lambda: _interleaved(blocks, 1))
    yield extracts("2 GiB in order", in_order, blocks, 1)


def _one_to_one(nr_blocks: int) -> Iterator[str]:
    """Return a pool of one device that maps all data blocks in order."""
    yield _superblock(nr_blocks)
    yield f'<device dev_id="1" mapped_blocks="{nr_blocks}" transaction="0" creation_time="0" '
    yield 'snap_time="0">\n'
    yield f'<range_mapping origin_begin="0" data_begin="0" length="{nr_blocks}" time="0"/>\n'
    yield "</device></superblock>\n"


def _file_system(bench: Bench) -> str:
    """Return an ext4 of 2 GiB: 50,000 files of 20 KiB in 500 folders, and one of 512 MiB."""
    path = bench.directory / "files.data"
    if not path.exists():
        tree = bench.directory / "tree"
        for number in range(50_000):
            folder = tree / f"folder-{number // 100}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"file-{number}").write_bytes(os.urandom(20 << 10))
        (tree / "large").write_bytes(os.urandom(512 << 20))
        command = ["mke2fs", "-q", "-t", "ext4", "-N", "60000", "-d", str(tree), str(path), "2G"]
        subprocess.run(command, check=True)
        shutil.rmtree(tree)
    return str(path)


CHANGED_FILES = 100


def _changed_file_system(bench: Bench) -> str:
    """Return that file system twice: in the second half the files of a folder are newer."""
    path = bench.directory / "files-twice.data"
    if not path.exists():
        old, new = Path(_file_system(bench)), bench.directory / "changed.data"
        shutil.copyfile(old, new)
        names = (f"folder-0/file-{number}" for number in range(CHANGED_FILES))
        words = "".join(f"sif {name} mtime 20300101000000\n" for name in names)
        edit = ["debugfs", "-w", "-f", "-", str(new)]
        subprocess.run(edit, check=True, input=words, text=True, capture_output=True)
        with path.open("wb") as file:
            for each in (old, new):
                with each.open("rb") as half:
                    shutil.copyfileobj(half, file, 1 << 20)
        new.unlink()
    return str(path)


def _two_snapshots(data: str) -> Iterator[str]:
    """Return a pool of the first half, of it with what differs in the second, and of the second."""
    half = Path(data).stat().st_size // BLOCK_BYTES // 2
    yield _superblock(2 * half)
    with Path(data).open("rb") as old, Path(data).open("rb") as new:
        new.seek(half * BLOCK_BYTES)
        changed = [old.read(BLOCK_BYTES) != new.read(BLOCK_BYTES) for _ in range(half)]
    for device_id, is_new in enumerate(([False] * half, changed, [True] * half), 1):
        yield f'<device dev_id="{device_id}" mapped_blocks="{half}" transaction="0" '
        yield 'creation_time="0" snap_time="0">\n'
        yield from (_mapping(block, half * is_new[block] + block, 0) for block in range(half))
        yield "</device>\n"
    yield "</superblock>\n"


def _files_diff_case(bench: Bench) -> Case:
    """Return the case of snapshots, and of two volumes that share nothing: all is compared."""
    data = _changed_file_system(bench)
    image = bench.restored("files-twice", 16, lambda: _two_snapshots(data))
    words = [THINMETA, "diff", "--files", "-p", image, "--data", data, "-o", bench.output]
    return Case(
        f"diff --files, {CHANGED_FILES} of 50,000 differ",
        {"without shared blocks": [*words, "1", "3"], "of snapshots": [*words, "1", "2"]},
    )


def _save_case(bench: Bench) -> Case:
    """Return the case of a small image, against a container's files from the same pool."""
    case = FIXTURES / "docker-direct-lvm-ext4-512k"
    data = bench.directory / "docker.data"
    if not data.exists():
        with lzma.open(case / "data.bin.xz") as packed, data.open("wb") as file:
            shutil.copyfileobj(packed, file)
    words = ["-p", bench.fixture(case.name), "--data", str(data), "-o", bench.output]
    words += ["--docker-root", str(case / "docker-state")]
    return Case(
        "save, an image of four layers",
        {
            "thinmeta export": [THINMETA, "export", "dead1", *words],
            "thinmeta save": [THINMETA, "save", "demo:latest", *words],
        },
    )


def files_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of what reads files, against what root does with a mount."""
    data, blocks = _file_system(bench), 32768
    image = bench.restored("one-to-one", 16, lambda: _one_to_one(blocks))
    words = ["1", "-p", image, "--data", data]
    mount = bench.mounted(data)
    jobs = {
        "files -R, 50,500 entries": (["find", mount], ["files", "-R", *words]),
        "tar, 1.5 GiB in 50,500 entries": (
            ["tar", "-C", mount, "-cf", bench.output, "."],
            ["tar", *words],
        ),
        "export, 1.5 GiB in 50,500 entries": (
            ["tar", "-C", mount, "-cf", bench.output, "."],
            ["export", *words],
        ),
        "cat, one file of 512 MiB": (
            ["cp", f"{mount}/large", bench.output],
            ["cat", "1", "/large", *words[1:]],
        ),
    }
    for name, (theirs, ours) in jobs.items():
        label = f"thinmeta {ours[0]}"
        yield Case(name, {theirs[0]: theirs, label: [THINMETA, *ours, "-o", bench.output]})
    copied = {
        "cp -a": ["cp", "-a", mount, bench.output],
        "thinmeta copy": [THINMETA, "copy", "--archive", "1", "/", bench.output, *words[1:]],
    }
    yield Case("copy, 1.5 GiB in 50,500 entries", copied)
    yield _files_diff_case(bench)
    yield _save_case(bench)


def scan_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta scan`, against a plain read of the same GiB."""
    image = bench.restored("single-48000000", 1024, lambda: _interleaved(12_000_000, 4))
    small = bench.fixture("a02-empty-pool-min-metadata")
    yield Case(
        "scan, 1 GiB of metadata",
        {
            "cat": ["cat", image],
            "thinmeta scan": [THINMETA, "scan", image],
            "start-up of scan": [THINMETA, "scan", small],
        },
    )


def restore_cases(bench: Bench) -> Iterator[Case]:
    """Return the cases of `thinmeta restore`; thin_restore wants its output to be there."""

    def restores(name: str, image: str) -> Case:
        xml = Path(image).with_suffix(".xml")
        if not xml.exists():
            subprocess.run([bench.new("thin_dump"), image, "-o", str(xml)], check=True)
        prepared = bench.directory / "restored.bin"
        with prepared.open("wb") as file:
            file.truncate(Path(image).stat().st_size)
        commands = {
            "thin_restore 1.1.0": [
                *[bench.new("thin_restore"), "-q", "-i", str(xml)],
                *["-o", str(prepared)],
            ],
            "thinmeta restore": [THINMETA, "restore", "-i", str(xml), "-o", bench.output],
        }
        return Case(name, commands)

    yield restores("restore, 10 million mappings", bench.single_mappings(10_000_000))
    yield restores("restore, 1 million mappings", bench.single_mappings(1_000_000))
    yield restores("restore, shared subtrees", bench.fixture("d02-shared-subtrees"))


def _ratio(samples: dict[str, Sample]) -> float:
    """Return how much longer the second takes than the first."""
    first, second, *_ = samples.values()
    return second.wall / first.wall


def _cpu_without_start(samples: dict[str, Sample]) -> float:
    """Return the CPU time of the second, less that of the third, in that of the first."""
    theirs, ours, start = samples.values()
    return (ours.cpu - start.cpu) / theirs.cpu


_USAGES = """
import sys
from itertools import cycle, islice
from thinmeta import open_pool
for image in islice(cycle(sys.argv[1:]), 200):
    with open_pool(image) as pool:
        pool.usage()
"""
_DECOMPRESSED = """
import lzma, sys
from itertools import cycle, islice
for image in islice(cycle(sys.argv[1:]), 200):
    with lzma.open(image) as file:
        while file.read(1 << 16):
            pass
"""


def figures(bench: Bench) -> Iterator[Figure]:
    """Return the numbers that are promised."""
    few = bench.fixture("a10-external-origin")
    imports = "import numpy, construct, click"
    for words in (["dump"], ["ls"], ["check"], ["diff", "1", "2", "-p"]):
        commands = {imports: [PYTHON, "-c", imports], words[0]: [THINMETA, *words, few]}
        yield Figure(f"start-up of {words[0]}, in that of its libraries", 1.1, commands, _ratio, 21)
    empty = bench.fixture("a01-empty-pool")
    single = bench.single_mappings(10_000_000)
    snapshots = bench.restored("snapshots", 512, lambda: _snapshots(10_000_000, 1000))
    sharing = ["-o", "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS"]
    for words, image, at_most in ((["check"], single, 0.4), (["ls", *sharing], snapshots, 0.35)):
        tool = f"thin_{words[0]}"
        commands = {
            tool: [bench.new(tool), *words[1:], image],
            words[0]: [THINMETA, *words, image],
            "start-up": [THINMETA, *words, empty],
        }
        name = f"CPU time of {words[0]}, 10 million mappings, in {tool}'s"
        yield Figure(name, at_most, commands, _cpu_without_start)
    for name, at_most, cases in (
        ("rmap, 1000 blocks of 10 million", 1.5, rmap_cases),
        ("pack, 10 million mappings", 1.5, pack_cases),
        ("unpack, 10 million mappings", 2.5, unpack_cases),
    ):
        case = next(case for case in cases(bench) if case.name == name)
        yield Figure(f"{name}, in the reference tool's", at_most, case.commands, _ratio)
    root = bench.docker_root(100_000)
    layers = {"layers": [THINMETA, "layers", "--docker-root", root, "-p", empty]}
    packed = sorted(FIXTURES.glob("*/meta.bin.xz"))
    images = [bench.fixture(path.parent.name) for path in packed]
    usages = {"usage": [PYTHON, "-c", _USAGES, *images]}
    for name, at_most, commands in (
        ("layers, 100,000 files of Docker's, s", 4, layers),
        ("the library's usage of 200 small pools, s", 2, usages),
    ):
        yield Figure(name, at_most, commands, lambda samples: next(iter(samples.values())).wall)
    commands = {
        "lzma": [PYTHON, "-c", _DECOMPRESSED, *map(str, packed)],
        "usage": [PYTHON, "-c", _USAGES, *map(str, packed)],
    }
    yield Figure("the same of 200 .xz, in lzma's time alone", 1.6, commands, _ratio)


FIGURES = "figures"
GROUPS = {
    "dump": dump_cases,
    "diff": diff_cases,
    "ls": ls_cases,
    "rmap": rmap_cases,
    "fate": fate_cases,
    "pack": pack_cases,
    "unpack": unpack_cases,
    "check": check_cases,
    "scan": scan_cases,
    "extract": extract_cases,
    "files": files_cases,
    "restore": restore_cases,
}


def run(command: list[str], output: str) -> Sample:
    """Run one process to its end, without its `output` from before.

    Raises:
        RuntimeError: it failed.
    """
    if Path(output).is_dir():
        shutil.rmtree(output)
    Path(output).unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    started = subprocess.run(
        [PYTHON, "-I", "-S", "-c", _STARTER, *command],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    wall, cpu, peak, status = started.stdout.split()
    if exit_code := os.waitstatus_to_exitcode(int(status)):
        raise RuntimeError(f"{command} ended with {exit_code}")
    return Sample(float(wall), float(cpu), int(peak) / 1024)


def measure(commands: dict[str, list[str]], repeat: int, output: str) -> dict[str, Sample]:
    """Return each command's median over `repeat` rounds; a round runs each once."""
    samples: dict[str, list[Sample]] = {label: [] for label in commands}
    for _ in range(repeat):
        for label, command in commands.items():
            samples[label].append(run(command, output))
    return {
        label: Sample(
            statistics.median(sample.wall for sample in some),
            statistics.median(sample.cpu for sample in some),
            statistics.median(sample.peak for sample in some),
        )
        for label, some in samples.items()
    }


def print_cases(cases: Iterator[Case], repeat: int, output: str) -> None:
    """Measure cases, and print a row a command."""
    for case in cases:
        results = measure(case.commands, repeat, output)
        first = next(iter(results.values()))
        for label, sample in results.items():
            ratio = sample.wall / first.wall
            print(
                f"{case.name:32} {label:34} {sample.wall:8.3f} {ratio:6.2f}"
                f" {sample.cpu:8.3f} {sample.peak:6.0f}",
                flush=True,
            )


def print_figures(bench: Bench) -> None:
    """Measure the numbers that are promised, and print a row each."""
    heading = f"{'figure':66} {'is':>8} {'at most':>8}"
    print(heading, "-" * len(heading), sep="\n")
    for figure in figures(bench):
        value = figure.value(measure(figure.commands, figure.repeat, bench.output))
        much = "" if value <= figure.at_most else "  too much"
        print(f"{figure.name:66} {value:8.3f} {figure.at_most:8.2f}{much}", flush=True)


def main() -> int:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--directory", type=Path, default=Path("/dev/shm/thinmeta-benchmark"))
    parser.add_argument("--reference", type=Path, default=CHECKOUT / ".reference-tools")
    parser.add_argument("--repeat", type=int, default=5, help="rounds (default 5)")
    names = [*GROUPS, FIGURES]
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"default: {' '.join(names)}")
    parser.add_argument("--keep", action="store_true", help="keep the pools for another run")
    options = parser.parse_args()
    if not (options.reference / "1.1.0/thin_dump").exists():
        print(
            f"no reference tools in {options.reference}: see tools/reference-tools", file=sys.stderr
        )
        return 1
    bench = Bench(options.directory, options.reference)
    # As pip does when it installs a wheel; an editable install lacks it.
    compileall.compile_dir(CHECKOUT / "thinmeta", quiet=1)
    groups = options.groups or names
    try:
        if groups != [FIGURES]:
            heading = (
                f"{'case':32} {'command':34} {'wall s':>8} {'ratio':>6} {'CPU s':>8} {'MiB':>6}"
            )
            print(heading, "-" * len(heading), sep="\n")
        for group in groups:
            if group != FIGURES:
                print_cases(GROUPS[group](bench), options.repeat, bench.output)
        if FIGURES in groups:
            print_figures(bench)
    finally:
        bench.unmount()
        if not options.keep:
            shutil.rmtree(options.directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
