"""What is left of a pool when nodes are bad: a slow model, and the dump that it predicts.

`Remains` takes what thin_dump 0.9 printed of the sound image, and takes away what the
bad nodes of each device's tree covered. It shares no code with thinmeta.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.anatomy import Anatomy, Place, sound_output
from tests.damage import LAST_KEY
from tests.golden import mappings_of, parsed_xml
from thinmeta.walk.runs import Run

Mappings = dict[int, tuple[int, int]]
"""Data block and time by origin block."""

IsBad = Callable[[Place], int | None]
"""Given a node where a tree has it, the block that is bad there; None if none is."""


@dataclass
class Lost:
    """Neighbouring bad nodes: the origin blocks that they covered, and where they are."""

    first: int
    last: int
    blocks: list[int]

    def covers(self, origin_block: int) -> bool:
        return self.first <= origin_block <= self.last


@dataclass
class DeviceRemains:
    """What is left of a device.

    Attributes:
        stored: mappings that its details say it has; None if they are lost.
        root: of its mapping tree; None if that is lost.
        mapped: what sound nodes map to blocks of the data device.
        kept: what sound nodes map.
        whole: what it mapped before the damage.
        beyond: mappings that were left out because they lead past the data device.
    """

    device_id: int
    stored: int | None
    transaction_id: int
    creation_time: int
    snap_time: int
    root: int | None
    mapped: Mappings
    kept: Mappings
    whole: Mappings
    lost: list[Lost] = field(default_factory=list)
    beyond: int = 0

    @property
    def is_complete(self) -> bool:
        if self.stored == 0 and not self.mapped and not self.beyond:
            return True  # what is lost held nothing
        is_missing = self.stored is not None and self.stored > len(self.mapped)
        return self.root is not None and not self.lost and not self.beyond and not is_missing

    @property
    def runs(self) -> list[Run]:
        """Neighbours joined, mapping by mapping."""
        runs: list[Run] = []
        for origin, (data, time) in sorted(self.mapped.items()):
            last = runs[-1] if runs else Run(-1, -1, 0, -1)
            goes_on = (last.origin_begin + last.length, last.data_begin + last.length, last.time)
            if runs and goes_on == (origin, data, time):
                runs[-1] = last._replace(length=last.length + 1)
            else:
                runs.append(Run(origin, data, 1, time))
        return runs


def bad_blocks(blocks: Iterable[int]) -> IsBad:
    """Return that these blocks are bad wherever they are."""
    bad = set(blocks)
    return lambda place: place.block if place.block in bad else None


def lost_ranges(places: Iterable[Place], is_bad: IsBad) -> list[Lost]:
    """Return what a tree has lost, given its nodes, each before those below it."""
    found: list[Lost] = []
    below: Place | None = None
    follows = False
    for place in places:
        if below is not None and below.low <= place.low and place.last <= below.last:
            continue
        below = None
        block = is_bad(place)
        if block is not None:
            below = place
            if follows:
                found[-1].last = place.last
                found[-1].blocks.append(block)
            else:
                found.append(Lost(place.low, place.last, [block]))
            follows = True
        elif place.is_leaf:
            follows = False
    return found


@cache
def _sound(case: str, image: str, *, snapshot: bool) -> tuple[DeviceRemains, ...]:
    anatomy = Anatomy.of(case, image, snapshot=snapshot)
    dump = parsed_xml(sound_output(case, image, "xml-0.9", snapshot=snapshot))
    return tuple(
        DeviceRemains(
            device.device_id,
            device.mapped_blocks,
            device.transaction_id,
            device.creation_time,
            device.snap_time,
            anatomy.device_roots[device.device_id],
            mapped,
            mapped,
            mapped,
        )
        for device in dump.devices
        for mapped in [{origin: (data, time) for origin, data, time in mappings_of(device.runs)}]
    )


class Remains:
    """What is left of a pool.

    Attributes:
        devices: by ascending id.
        some_ids_are_lost: whether a part of the trees that list devices is lost.
        time: what the superblock is to say; None is what it says.
    """

    def __init__(
        self,
        case: str,
        is_bad: IsBad = lambda _: None,
        *,
        image: str = "meta",
        snapshot: bool = False,
        nr_data_blocks: int | None = None,
        anatomy: Anatomy | None = None,
    ) -> None:
        """Take away what bad nodes of mapping trees cover, and what is past the data device."""
        self._case, self._image, self._snapshot = case, image, snapshot
        self._nr_data_blocks = nr_data_blocks
        anatomy = anatomy or Anatomy.of(case, image, snapshot=snapshot)
        self.devices = []
        self.some_ids_are_lost = False
        self.time: int | None = None
        for each in _sound(case, image, snapshot=snapshot):
            lost = lost_ranges(anatomy.mapping_tree(each.device_id), is_bad)
            kept = (
                each.whole
                if not lost
                else {
                    origin: mapping
                    for origin, mapping in each.whole.items()
                    if not any(some.covers(origin) for some in lost)
                }
            )
            mapped = (
                kept
                if nr_data_blocks is None
                else {at: mapping for at, mapping in kept.items() if mapping[0] < nr_data_blocks}
            )
            fields = {
                **vars(each),
                "root": anatomy.device_roots[each.device_id],
                "mapped": mapped,
                "kept": kept,
                "lost": lost,
                "beyond": len(kept) - len(mapped),
            }
            self.devices.append(DeviceRemains(**fields))

    def of(self, device_id: int) -> DeviceRemains:
        return next(each for each in self.devices if each.device_id == device_id)

    @property
    def is_complete(self) -> bool:
        return not self.some_ids_are_lost and all(
            each.is_complete and each.stored is not None for each in self.devices
        )

    def xml(self) -> bytes:
        """Return the XML of 0.9; its first line is the recorded one."""
        recorded = sound_output(self._case, self._image, "xml-0.9", snapshot=self._snapshot)
        first = recorded.splitlines()[0].decode()
        if self._nr_data_blocks is not None:
            first = re.sub(
                r'nr_data_blocks="\d+"', f'nr_data_blocks="{self._nr_data_blocks}"', first
            )
        if self.time is not None:
            first = re.sub(r' time="\d+"', f' time="{self.time}"', first)
        lines = [first]
        for each in self.devices:
            lines.append(
                f'  <device dev_id="{each.device_id}" mapped_blocks="{len(each.mapped)}"'
                f' transaction="{each.transaction_id}" creation_time="{each.creation_time}"'
                f' snap_time="{each.snap_time}">'
            )
            for origin, data, length, time in each.runs:
                lines.append(
                    f'    <range_mapping origin_begin="{origin}" data_begin="{data}"'
                    f' length="{length}" time="{time}"/>'
                    if length > 1
                    else f'    <single_mapping origin_block="{origin}" data_block="{data}"'
                    f' time="{time}"/>'
                )
            lines.append("  </device>")
        return "\n".join([*lines, "</superblock>", ""]).encode()

    def by_device(self) -> list[tuple[tuple[int, ...], Mappings]]:
        """Return what `mappings_by_device` returns of the dump."""
        return [
            (
                (
                    each.device_id,
                    len(each.mapped),
                    each.transaction_id,
                    each.creation_time,
                    each.snap_time,
                ),
                each.mapped,
            )
            for each in self.devices
        ]

    def json_objects(self) -> list[dict[str, Any]]:
        """Return the lines of the JSON dump without those that say what is lost."""
        recorded = sound_output(self._case, self._image, "json", snapshot=self._snapshot)
        objects: list[dict[str, Any]] = [json.loads(recorded.splitlines()[0])]
        if self._nr_data_blocks is not None:
            objects[0]["nr_data_blocks"] = self._nr_data_blocks
        if self.time is not None:
            objects[0]["time"] = self.time
        for each in self.devices:
            names = ("transaction_id", "creation_time", "snap_time")
            objects.append(
                {"type": "device", "device_id": each.device_id, "mapped_blocks": len(each.mapped)}
                | {name: getattr(each, name) for name in names}
            )
            objects += [
                {"type": "run", "device_id": each.device_id} | run._asdict() for run in each.runs
            ]
        return [*objects, {"type": "end"}]

    def losses(self) -> list[dict[str, Any]]:
        """Return the JSON lines that say what is lost of devices, without what is wrong."""
        return list(self._losses())

    def _losses(self) -> Iterator[dict[str, Any]]:
        for each in self.devices:
            if each.is_complete and each.stored == len(each.mapped):
                continue
            yield {
                "type": "loss",
                "device_id": each.device_id,
                "mapping_root": each.root,
                "mapped_blocks_stored": each.stored,
                "mapped_blocks_found": len(each.mapped),
                "mapped_blocks_missing": None
                if each.stored is None
                else max(0, each.stored - len(each.mapped)),
                "beyond_data_device": each.beyond,
                "complete": each.is_complete,
            }
            for lost in each.lost:
                yield {
                    "type": "lost_range",
                    "device_id": each.device_id,
                    "first_block": lost.first,
                    "last_block": None if lost.last == LAST_KEY else lost.last,
                    "nr_nodes": len(lost.blocks),
                    "metadata_block": lost.blocks[0],
                }

    def told(self) -> set[tuple[int, int, str, int]]:
        """Return device, first and last lost block, and bad block, as stderr has them."""
        return {
            (
                each.device_id,
                lost.first,
                "the end" if lost.last == LAST_KEY else str(lost.last),
                lost.blocks[0],
            )
            for each in self.devices
            if not each.is_complete
            for lost in each.lost
        }


_TOLD = re.compile(
    r"^Warning: device (\d+): origin blocks (\d+) to (the end|\d+) are lost: metadata block (\d+):"
    r" the B-tree node ",
    re.MULTILINE,
)


def told_in(stderr: str) -> set[tuple[int, int, str, int]]:
    """Return what stderr says is lost, as `Remains.told` does."""
    lines = _TOLD.findall(stderr)
    assert len(set(lines)) == len(lines)
    return {(int(device), int(first), last, int(block)) for device, first, last, block in lines}


_DEF = re.compile(rb'  <def name="(\d+)">\n(.*?)  </def>\n', re.DOTALL)
_REF = re.compile(rb'    <ref name="(\d+)"/>\n')


def expanded(xml: bytes) -> bytes:
    """Return the XML of 1.1 with what is shared written out, and runs as they were cut."""
    shared = dict(_DEF.findall(xml))
    used = set(_REF.findall(xml))
    assert used == shared.keys(), "each def is referred to, and each ref has a def"
    for name, text in shared.items():
        refs = len(re.findall(rb'    <ref name="%s"/>\n' % name, xml))
        alone = len(re.findall(rb'<device [^>]*>\n    <ref name="%s"/>\n  </device>' % name, xml))
        assert text or refs == alone, "thin_restore refuses an empty def beside mappings"
    return _REF.sub(lambda found: shared[found[1]], _DEF.sub(b"", xml))


def mappings_by_device(xml: bytes) -> list[tuple[tuple[int, ...], Mappings]]:
    """Return attributes and mappings of each device of an XML without defs, in order."""
    return [
        (
            (
                each.device_id,
                each.mapped_blocks,
                each.transaction_id,
                each.creation_time,
                each.snap_time,
            ),
            {origin: (data, time) for origin, data, time in mappings_of(each.runs)},
        )
        for each in parsed_xml(xml).devices
    ]
