#!/usr/bin/env python3
"""Prove the images: what the tools print for them must lead to what the kernel read.

For each case in a folder of images that has a data image and whole-device hashes, every
thin device is rebuilt from the dump and the data image, and its SHA-256 held against that
of the device as the kernel read it. For every metadata image the dumps of both versions
must mean the same; one that was copied in mid-write need not be dumped at all.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

CHUNK = 1 << 20
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Run:
    """Mappings in a row, in blocks."""

    origin_begin: int
    data_begin: int
    length: int
    time: int


@dataclass(frozen=True, slots=True)
class Dump:
    """What thin_dump printed, with `<ref>` replaced by what it stands for and runs joined."""

    superblock: dict[str, str]
    devices: dict[int, tuple[dict[str, str], list[Run]]]


def dump(tool: Path, image: Path) -> Dump | None:
    """Run a thin_dump and read what it prints; None if it failed."""
    done = subprocess.run([tool, image], capture_output=True, check=False)
    if done.returncode:
        return None
    root = ElementTree.fromstring(done.stdout)  # our own tool's output
    shared = {part.attrib["name"]: list(runs_of(part, {})) for part in root.iter("def")}
    devices = {
        int(device.attrib["dev_id"]): (device.attrib, joined(runs_of(device, shared)))
        for device in root.iter("device")
    }
    # 0.9.0 says flags="0" where 1.1.0 says nothing.
    superblock = {
        key: value for key, value in root.attrib.items() if (key, value) != ("flags", "0")
    }
    return Dump(superblock, devices)


def runs_of(element: ElementTree.Element, shared: dict[str, list[Run]]) -> Iterator[Run]:
    """Yield the mappings below a `<device>` or `<def>`."""
    for part in element:
        if part.tag == "ref":
            yield from shared[part.attrib["name"]]
            continue
        at = {key: int(value) for key, value in part.attrib.items()}
        if part.tag == "single_mapping":
            yield Run(at["origin_block"], at["data_block"], 1, at["time"])
        else:
            yield Run(at["origin_begin"], at["data_begin"], at["length"], at["time"])


def joined(runs: Iterator[Run]) -> list[Run]:
    """Join runs that go on where the last one ended."""
    result: list[Run] = []
    for run in runs:
        last = result[-1] if result else None
        if last and run == Run(
            last.origin_begin + last.length, last.data_begin + last.length, run.length, last.time
        ):
            length = last.length + run.length
            result[-1] = Run(last.origin_begin, last.data_begin, length, last.time)
        else:
            result.append(run)
    return result


def read(image: BinaryIO | None, offset: int, length: int) -> Iterator[bytes]:
    """Yield bytes of an image, with zeros past its end or where there is none."""
    if image:
        image.seek(offset)
    while length:
        wanted = min(length, CHUNK)
        piece = image.read(wanted) if image else b""
        yield piece.ljust(wanted, b"\0")
        length -= wanted


def rebuilt(runs: list[Run], block: int, size: int, data: BinaryIO, origin: BinaryIO | None) -> str:
    """Return the SHA-256 of a thin device.

    Args:
        runs: its mappings, ascending.
        block: bytes in a data block.
        size: bytes of the device, which need not be whole blocks.
        data: the pool's data image.
        origin: the external origin, which shows through where nothing is mapped.
    """
    digest = hashlib.sha256()
    at = 0
    for run in runs:
        begin = min(run.origin_begin * block, size)
        end = min(begin + run.length * block, size)
        for piece in read(origin, at, begin - at):
            digest.update(piece)
        for piece in read(data, run.data_begin * block, end - begin):
            digest.update(piece)
        at = end
    for piece in read(origin, at, size - at):
        digest.update(piece)
    return digest.hexdigest()


def differences(old: Dump, new: Dump) -> list[str]:
    """Return in what the dumps of the two versions differ in meaning."""
    found = []
    if old.superblock != new.superblock:
        found.append(f"superblock: {old.superblock} and {new.superblock}")
    if list(old.devices) != list(new.devices):
        found.append("devices")
    both = old.devices.keys() & new.devices.keys()
    found += [f"device {id_}" for id_ in sorted(both) if old.devices[id_] != new.devices[id_]]
    return found


def mismatches(pool: Path, state: str, dumped: Dump) -> tuple[list[int], int]:
    """Rebuild the thin devices of a pool.

    Args:
        pool: the folder with the data image and the truth.
        state: "" for `data.img` and `truth/`, `-before` for `data-before.img` and
            `truth-before/`.
        dumped: the dump of the metadata image of that state.

    Returns:
        The ids whose hash is another than the kernel's, and the number of devices.
    """
    block = int(dumped.superblock["data_block_size"]) * SECTOR
    lines = (pool / f"truth{state}/thin-devices.sha256").read_text().splitlines()
    # Where only some devices have the external origin, a file names them.
    only = pool / "origin-for.txt"
    with_origin = set(only.read_text().split()) if only.exists() else None
    origin_image = pool / "origin.img"
    wrong = []
    for line in lines:
        sha256, id_, size = line.split()
        _, runs = dumped.devices.get(int(id_), ({}, []))
        has_origin = origin_image.exists() and (with_origin is None or id_ in with_origin)
        origin = origin_image.open("rb") if has_origin else None
        with (pool / f"data{state}.img").open("rb") as data:
            if rebuilt(runs, block, int(size), data, origin) != sha256:
                wrong.append(int(id_))
        if origin:
            origin.close()
    return wrong, len(lines)


def without_pool(truth: Path) -> tuple[list[str], int]:
    """Hold what was read without a thin-pool, by thinmeta's doing, against the truth.

    Args:
        truth: the folder with the hashes; not every case has those without a pool.

    Returns:
        The lines that only one of the two has, and the number of devices read.
    """
    file = truth / "without-pool.sha256"
    if not file.exists():
        return [], 0
    read = file.read_text().splitlines()
    devices = (truth / "thin-devices.sha256").read_text().splitlines()
    expected = {f"{device} {how}" for device in devices for how in ("linear", "extract")}
    return sorted(expected ^ set(read)), len(read)


def main() -> int:
    """Check every case; return 1 when something does not agree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path, help="a folder for each case")
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    failures = devices = 0
    for image in sorted(options.images.rglob("meta*.img")):
        if "devs" in image.parts:
            continue
        old, new = (
            dump(options.reference.resolve() / version / "thin_dump", image)
            for version in ("0.9.0", "1.1.0")
        )
        name = image.relative_to(options.images)
        state = image.stem.removeprefix("meta")
        truth = image.parent / f"truth{state}"
        has_truth = (truth / "thin-devices.sha256").exists()
        if not (old and new):
            sys.stdout.write(f"{name}: not dumped by {'1.1.0' if old else '0.9.0'}\n")
            failures += has_truth
            continue
        found = differences(old, new)
        told = f"{name}: {len(old.devices)} devices"
        if has_truth and (image.parent / f"data{state}.img").exists():
            wrong, count = mismatches(image.parent, state, old)
            devices += count
            found += [f"device {id_} is not what the kernel read" for id_ in wrong]
            told += f", {count - len(wrong)} of {count} rebuilt"
        differing, count = without_pool(truth)
        found += [f"without the pool: {line}" for line in differing]
        told += f", {count} read without the pool" if count else ""
        failures += len(found)
        sys.stdout.write(f"{told}{''.join(f'; DIFFERENT: {line}' for line in found)}\n")
    sys.stdout.write(f"{devices} devices rebuilt, {failures} differences\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
