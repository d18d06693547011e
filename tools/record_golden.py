#!/usr/bin/env python3
"""Record what the reference tools print for the metadata images of a case.

A case is a folder of metadata images (`meta.bin.xz`, `meta-*.bin.xz`, also one
folder deeper) with an `about.txt` and a `CASE.toml`. Both reference versions run
over a copy of each image; what they print goes to `golden/`, and `CASE.toml` says
for every run the arguments, the exit code, stderr and the file that holds stdout.
With `--check` nothing is written: the tools must print what is recorded.

`origin` and `delta_pairs` in `CASE.toml` are written by hand and kept; all the rest
is made here. `tools/reference-tools` installs the tools.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
VERSIONS = ("0.9.0", "1.1.0")

#: The image's name while a tool runs, so that no message can hold another path.
STAGED = "meta.bin"

#: Larger stdout is kept as `.xz`.
PLAIN_LIMIT = 64 * 1024

#: thin_ls and thin_check of 1.1.0 sleep for half a second each, so more lanes than
#: processors keep the processors busy.
LANES = 4 * (os.cpu_count() or 1)

LS_FIELDS = (
    "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS,MAPPED_SECTORS,EXCLUSIVE_SECTORS,"
    "SHARED_SECTORS,MAPPED_BYTES,EXCLUSIVE_BYTES,SHARED_BYTES,MAPPED,EXCLUSIVE,SHARED,"
    "TRANSACTION,CREATE_TIME,SNAP_TIME"
)

#: What `CASE.toml` holds.
Value = str | int | list[str] | list[list[int]]

HEADER = "# Made by tools/record_golden.py; `origin` and `delta_pairs` are written by hand.\n"


@dataclass(frozen=True, slots=True)
class Command:
    """One command line, before it is known which version runs it."""

    name: str
    args: tuple[str, ...]
    suffix: str
    versions: tuple[str, ...] = VERSIONS

    @property
    def tool(self) -> str:
        """The program: the part of `name` before the first dash."""
        return self.name.split("-", 1)[0]


@dataclass(frozen=True, slots=True)
class Run:
    """What one version printed for one command line."""

    command: Command
    version: str
    exit_code: int
    stderr: str
    stdout: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Image:
    """A metadata image, unpacked, and what the tools printed for it."""

    name: str
    file: str
    size: int
    sha256: str
    runs: list[Run]


@dataclass(frozen=True, slots=True)
class Case:
    """What a case folder should hold.

    `golden` maps a file's path, relative to the folder, to the run whose stdout it holds.
    """

    folder: Path
    toml: str
    golden: dict[str, Run]


def commands_for(ids: list[int], delta_pairs: list[tuple[int, int]]) -> list[Command]:
    """Return every command line that is recorded for an image.

    Args:
        ids: the thin devices in the image, ascending.
        delta_pairs: devices to compare besides the first two; a pair of which
            the image lacks one is left out.
    """
    human = ("-f", "human_readable")
    overrides = "--transaction-id 99 --data-block-size 256 --nr-data-blocks 99999999"
    commands = [
        Command("thin_dump", (), ".xml"),
        Command("thin_dump-human", human, ".txt"),
        Command("thin_dump-m", ("-m",), ".xml"),
        Command("thin_dump-human-m", (*human, "-m"), ".txt"),
        Command("thin_dump-r", ("-r",), ".xml"),
        Command("thin_dump-skip", ("--skip-mappings",), ".xml"),
        Command("thin_dump-human-skip", (*human, "--skip-mappings"), ".txt"),
        Command("thin_dump-overrides", tuple(overrides.split()), ".xml", versions=("1.1.0",)),
        Command("thin_check", (), ".txt"),
        Command("thin_ls", (), ".txt"),
        Command("thin_ls-all", ("-o", LS_FIELDS), ".txt"),
        Command("thin_ls-m", ("-m", "-o", LS_FIELDS), ".txt"),
        Command("thin_rmap", ("--region", f"0..{1 << 24}"), ".txt"),
    ]
    first = ids[:2]
    if first:
        one = str(first[-1])
        commands += [
            Command(f"thin_dump-dev-{one}", ("--dev-id", one), ".xml"),
            Command(f"thin_dump-human-dev-{one}", (*human, "--dev-id", one), ".txt"),
        ]
    pairs = [pair for pair in delta_pairs if set(pair) <= set(ids) and list(pair) != first]
    if len(first) > 1:
        left, right = first
        select = ("--dev-id", str(left), "--dev-id", str(right))
        commands.append(Command(f"thin_dump-devs-{left}-{right}", select, ".xml"))
        pairs.insert(0, (left, right))
    for left, right in pairs:
        snaps = ("--snap1", str(left), "--snap2", str(right))
        commands += [
            Command(f"thin_delta-{left}-{right}", snaps, ".xml"),
            Command(f"thin_delta-verbose-{left}-{right}", ("--verbose", *snaps), ".xml"),
        ]
    return commands


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, of its content when it is an `.xz`."""
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(packed: Path, target: Path) -> None:
    """Unpack an `.xz`."""
    with lzma.open(packed) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)


@dataclass(frozen=True, slots=True)
class Tools:
    """The reference tools: `folder/VERSION/TOOL`, and the threads that run them."""

    folder: Path
    lanes: ThreadPoolExecutor

    def run(self, command: Command, version: str, lane: Path) -> Run:
        """Run one tool in `lane`, the folder that holds the staged image."""
        stdout = lane / f"{command.name}-{version}{command.suffix}"
        with stdout.open("wb") as sink:
            done = subprocess.run(  # the reference tools, where the user says
                [self.folder / version / command.tool, *command.args, STAGED],
                cwd=lane,
                env={"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.PIPE,
                check=False,
            )
        stderr = done.stderr.decode()
        return Run(command, version, done.returncode, stderr, stdout, sha256_of(stdout))

    def device_ids(self, image: Path) -> list[int]:
        """Return the ids of the thin devices in an unpacked image, ascending."""
        dump = subprocess.run(  # as above
            [self.folder / "0.9.0" / "thin_dump", "--skip-mappings", image],
            capture_output=True,
            check=False,  # a damaged image is a case too
            text=True,
        ).stdout
        return sorted(int(part.partition('"')[0]) for part in dump.split('dev_id="')[1:])

    def require(self) -> None:
        """Stop with a message unless both versions are there and are what they claim."""
        for version in VERSIONS:
            tool = self.folder / version / "thin_dump"
            try:
                said = subprocess.run(  # as above
                    [tool, "-V"], stdout=subprocess.PIPE, check=True, text=True
                ).stdout
            except (OSError, subprocess.CalledProcessError) as error:
                sys.exit(f"record_golden: {error}; run tools/reference-tools")
            if said.split()[-1:] != [version]:
                sys.exit(f"record_golden: {tool} is version {said.strip()}")


def image_name(folder: Path, image: Path) -> str:
    """Return the image's path in its case without the suffixes: `meta`, `pool-b/meta`."""
    return image.relative_to(folder).as_posix().removesuffix(".bin.xz")


def record_image(
    packed: Path,
    folder: Path,
    delta_pairs: list[tuple[int, int]],
    tools: Tools,
    scratch: Path,
) -> Image:
    """Run both versions over copies of one image.

    Args:
        packed: the `.bin.xz`.
        folder: the case it belongs to.
        delta_pairs: as in `CASE.toml`.
        tools: the reference tools.
        scratch: a folder for the copies and for what is printed.
    """
    name = image_name(folder, packed)
    staged = [scratch / name / version / STAGED for version in VERSIONS]
    for copy in staged:
        copy.parent.mkdir(parents=True)
        unpack(packed, copy)
    sha256 = sha256_of(staged[0])
    commands = commands_for(tools.device_ids(staged[0]), delta_pairs)

    def lane(copy: Path) -> list[Run]:
        version = copy.parent.name
        mine = [command for command in commands if version in command.versions]
        return [tools.run(command, version, copy.parent) for command in mine]

    runs = [run for of_one_version in tools.lanes.map(lane, staged) for run in of_one_version]
    runs.sort(key=lambda run: (commands.index(run.command), run.version))
    if any(sha256_of(copy) != sha256 for copy in staged):
        sys.exit(f"record_golden: a tool wrote to its copy of {packed}")
    file = packed.relative_to(folder).as_posix()
    return Image(name, file, staged[0].stat().st_size, sha256, runs)


def place(images: list[Image]) -> dict[str, str]:
    """Return the file of each distinct stdout, by SHA-256; no output needs no file.

    Equal stdout is kept once in a case, under the name of the first run that printed it.
    """
    files = {hashlib.sha256().hexdigest(): ""}
    for image in images:
        for run in image.runs:
            packed = "" if run.stdout.stat().st_size < PLAIN_LIMIT else ".xz"
            files.setdefault(run.sha256, f"golden/{image.name}/{run.stdout.name}{packed}")
    return files


def render(head: dict[str, Value], images: list[Image], files: dict[str, str]) -> str:
    """Return the text of `CASE.toml`."""
    lines = [HEADER, *assignments(head)]
    for image in images:
        values: dict[str, Value] = {"name": image.name, "file": image.file}
        values |= {"size": image.size, "sha256": image.sha256}
        lines += ["", "[[images]]", *assignments(values)]
        for run in image.runs:
            values = {"name": run.command.name, "tool": run.command.tool, "version": run.version}
            values |= {"args": [*run.command.args, "{image}"], "exit_code": run.exit_code}
            values |= {"stdout": files[run.sha256], "stdout_sha256": run.sha256}
            values |= {"stderr": run.stderr}
            lines += ["", "[[images.outputs]]", *assignments(values)]
    return "\n".join(lines) + "\n"


def assignments(values: dict[str, Value]) -> list[str]:
    """Return `key = value` lines; JSON's strings, numbers and lists are TOML's, but for DEL."""
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    return [f"{key} = {text}".replace("\x7f", "\\u007f") for key, text in texts.items()]


def record(folder: Path, tools: Tools, scratch: Path) -> Case:
    """Run both versions over every image of a case; the case itself is only read.

    Args:
        folder: the case.
        tools: the reference tools.
        scratch: an empty folder, which the result's files are in.

    Returns:
        The case as it should be on disk.
    """
    by_hand = tomllib.loads((folder / "CASE.toml").read_text())
    head: dict[str, Value] = {"about": (folder / "about.txt").read_text().strip()}
    head |= {key: by_hand[key] for key in ("origin", "delta_pairs") if key in by_hand}
    pairs = [(left, right) for left, right in by_hand.get("delta_pairs", [])]

    packed = sorted(folder.rglob("meta*.bin.xz"), key=lambda path: image_name(folder, path))
    if not packed:
        sys.exit(f"record_golden: no metadata image in {folder}")
    images = [record_image(path, folder, pairs, tools, scratch) for path in packed]
    files = place(images)
    golden: dict[str, Run] = {}
    for run in (run for image in images for run in image.runs if files[run.sha256]):
        golden.setdefault(files[run.sha256], run)
    return Case(folder, render(head, images, files), golden)


def golden_files(folder: Path) -> dict[str, str]:
    """Return the path, relative to the case, and the SHA-256 of every golden file."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted((folder / "golden").rglob("*"))
        if path.is_file()
    }


def write(case: Case) -> None:
    """Write `CASE.toml` and `golden/`; a file that holds its stdout already is left alone."""
    there = golden_files(case.folder)
    for stale in there.keys() - case.golden.keys():
        (case.folder / stale).unlink()
    for name, run in case.golden.items():
        if there.get(name) == run.sha256:
            continue
        target = case.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".xz":
            # Preset 9 would cost the reader 64 MiB for the dictionary and gain nothing.
            with lzma.open(target, "wb", preset=6 | lzma.PRESET_EXTREME) as sink:
                sink.write(run.stdout.read_bytes())
        else:
            shutil.copyfile(run.stdout, target)
    (case.folder / "CASE.toml").write_text(case.toml)


def facts(toml: str) -> dict[str, Any]:
    """Return `CASE.toml` flat: one dotted name for each value, an output by its name."""
    flat: dict[str, Any] = {}
    head = tomllib.loads(toml)
    for image in head.pop("images", []):
        for output in image.pop("outputs", []):
            label = f"{image['name']}, {output['name']} of {output['version']}"
            flat |= {f"{label}: {key}": value for key, value in output.items()}
        flat |= {f"{image['name']}: {key}": value for key, value in image.items()}
    return flat | head


def differences(case: Case) -> list[str]:
    """Return where the case on disk is not what the tools print now."""
    old, new = facts((case.folder / "CASE.toml").read_text()), facts(case.toml)
    found = [
        f"{key}: recorded {old.get(key)!r}, now {new.get(key)!r}"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]
    there = golden_files(case.folder)
    wanted = {name: run.sha256 for name, run in case.golden.items()}
    found += [f"{name}: does not belong here" for name in there if name not in wanted]
    found += [f"{name}: is missing" for name in wanted if name not in there]
    found += [
        f"{name}: does not hold what the tool prints"
        for name in wanted.keys() & there.keys()
        if wanted[name] != there[name]
    ]
    return [f"{case.folder.name}: {line}" for line in found]


def main() -> int:
    """Record or check the cases that are named, or all.

    Returns:
        0, or 1 when `--check` found a difference.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", type=Path, metavar="CASE", help="default: all")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument(
        "--reference",
        type=Path,
        default=CHECKOUT / ".reference-tools",
        metavar="DIR",
        help="where tools/reference-tools put the tools (default: %(default)s)",
    )
    options = parser.parse_args()
    everything = (path.parent for path in (CHECKOUT / "fixtures").glob("*/CASE.toml"))
    folders = [path.resolve() for path in options.cases] or sorted(everything)
    if not folders:
        parser.error("there are no cases")

    def finish(folder: Path) -> list[str]:
        with tempfile.TemporaryDirectory() as scratch:
            case = record(folder, tools, Path(scratch))
            if options.check:
                return differences(case)
            write(case)
            return []

    failures = 0
    with ThreadPoolExecutor(LANES) as lanes, ThreadPoolExecutor(LANES) as cases:
        tools = Tools(options.reference.resolve(), lanes)
        tools.require()
        for folder, found in zip(folders, cases.map(finish, folders), strict=True):
            failures += len(found)
            sys.stdout.write("".join(f"{line}\n" for line in found or [f"{folder.name}: ok"]))
            sys.stdout.flush()
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
