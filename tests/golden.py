"""What thin_dump printed for an image, and what it says once it is parsed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tests.cases import Recorded, image_names, recorded
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.walk.runs import Run, Runs
from thinmeta.walk.stream_reader import read_runs


@cache
def thin_dumps() -> dict[tuple[str, str, str, str], Recorded]:
    """Return the recorded runs of thin_dump by case, image, name and version."""
    return {
        (run.case, run.image, run.name, run.version): run
        for run in recorded("thin_dump")
        if run.exit_code == 0
    }


def thin_dump(case: str, image: str, name: str, version: str) -> bytes:
    """Return what `version` of thin_dump printed in the recorded run `name`."""
    return thin_dumps()[case, image, name, version].stdout()


def dumped_images() -> list[tuple[str, str]]:
    """Return case and name of each image that thin_dump 0.9.0 dumped whole."""
    return [
        (case, image)
        for case, image in image_names()
        if (case, image, "thin_dump", "0.9.0") in thin_dumps()
    ]


@dataclass
class DumpedDevice:
    """A `<device>`: its attributes and its mappings."""

    device_id: int
    mapped_blocks: int
    transaction_id: int
    creation_time: int
    snap_time: int
    runs: list[Run] = field(default_factory=list)


@dataclass
class DumpedPool:
    """What an XML without `<def>` says."""

    superblock: dict[str, int]
    devices: list[DumpedDevice]


_ATTRIBUTE = re.compile(rb'="(\d+)"')
_NAMED = re.compile(r'(\w+)="(\d+)"')


def parsed_xml(xml: bytes) -> DumpedPool:
    """Return what thin_dump 0.9's XML says; it knows each kind of line that there is."""
    lines = xml.splitlines()
    superblock = {name: int(value) for name, value in _NAMED.findall(lines[0].decode())}
    devices: list[DumpedDevice] = []
    for line in lines[1:]:
        numbers = [int(number) for number in _ATTRIBUTE.findall(line)]
        tag = line.lstrip()[:6]
        if tag == b"<range":
            devices[-1].runs.append(Run(*numbers))
        elif tag == b"<singl":
            origin_block, data_block, time = numbers
            devices[-1].runs.append(Run(origin_block, data_block, 1, time))
        elif tag == b"<devic":
            device_id, mapped_blocks, transaction_id, *times = numbers
            creation_time, snap_time = times
            devices.append(
                DumpedDevice(device_id, mapped_blocks, transaction_id, creation_time, snap_time)
            )
        else:
            assert tag in {b"</devi", b"</supe"}, line
    return DumpedPool(superblock, devices)


def chunks_of(pool: Pool, device: ThinDevice) -> Iterator[Runs]:
    """Return a device's runs, in pieces."""
    return read_runs(pool.source, device.mapping_root, device.device_id, pool.on_damage)


def runs_of(pool: Pool, device: ThinDevice) -> list[Run]:
    """Return a device's runs."""
    return [run for chunk in chunks_of(pool, device) for run in chunk]


def mappings_of(runs: Iterator[Run] | list[Run]) -> Iterator[tuple[int, int, int]]:
    """Return origin block, data block and time of each mapping in `runs`."""
    for run in runs:
        for further in range(run.length):
            yield run.origin_begin + further, run.data_begin + further, run.time
