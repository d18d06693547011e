"""A LVM volume group as one version of its text metadata describes it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from thinmeta.errors import InputError
from thinmeta.lvm.fields import Fields
from thinmeta.lvm.text import Section, parse_lvm_text
from thinmeta.units import SECTOR_BYTES, DeviceId

_LAST_DEVICE_ID = 2**24 - 1
_MOST_EXTENTS = 2**32
_MOST_SECTORS = 2**53
_LAST_TRANSACTION = 2**63 - 1
_NEVER_AHEAD = ("writethrough", "passthrough")
"""Modes of a cache in which all that is written is on the origin, too."""

_LAST_SECOND = 253402300799
"""Of the year 9999."""

_MESSAGE = re.compile(r"message\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class LvmDisk:
    """A physical volume of a group.

    Attributes:
        name: what the text calls it: `pv0`.
        id: its uuid, without dashes.
        device: the path it had when the text was written; empty if the text does not say.
        pe_start: where its extents begin, in sectors from its start.
        pe_count: how many extents it has.
    """

    name: str
    id: str
    device: str
    pe_start: int
    pe_count: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a logical volume.

    Attributes:
        kind: its type: striped, thin, thin-pool, raid1, ...
        start_extent: where it begins in the logical volume.
        extent_count: how long it is.
        stripe_sectors: how much lies on one area before the next follows.
        areas: name of the physical volume and first extent on it, of each stripe; one
            for a linear segment, none for other types.
        legs: names of the logical volumes each of which has all of its bytes: the images of
            a raid1, or what a cache stands before.
        cache: name of the logical volume that may have newer bytes; empty if none has.
    """

    kind: str
    start_extent: int
    extent_count: int
    stripe_sectors: int = 0
    areas: tuple[tuple[str, int], ...] = ()
    legs: tuple[str, ...] = ()
    cache: str = ""


@dataclass(frozen=True, slots=True)
class ThinVolume:
    """What makes a logical volume a thin one.

    Attributes:
        device_id: by which the pool knows it.
        pool: name of the pool's logical volume.
        transaction_id: the pool's when it was created; the pool's metadata has the same.
        origin: name of the thin volume that it is a snapshot of, empty if of none.
        external_origin: name of the volume outside of the pool that it reads where it has
            no block of its own, empty if it has none.
    """

    device_id: DeviceId
    pool: str
    transaction_id: int
    origin: str
    external_origin: str


@dataclass(frozen=True, slots=True)
class ThinPool:
    """What makes a logical volume a thin pool.

    Attributes:
        metadata: name of the logical volume with the pool's metadata.
        data: name of the logical volume with its data.
        chunk_sectors: size of a data block.
        transaction_id: what the pool's own should be.
        messages: what LVM was about to tell the pool when the text was written.
    """

    metadata: str
    data: str
    chunk_sectors: int
    transaction_id: int
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume, hidden ones too.

    Attributes:
        name: without the group's.
        id: its uuid, without dashes.
        tags: what its owner marked it with.
        segments: by ascending extent.
        thin: set if it is a thin volume.
        pool: set if it is a thin pool.
        section: all that the text says of it, unchecked.
    """

    name: str
    id: str
    tags: tuple[str, ...]
    segments: tuple[Segment, ...]
    thin: ThinVolume | None
    pool: ThinPool | None
    section: Section = field(default_factory=dict, repr=False)

    @property
    def nr_extents(self) -> int:
        """How long it is."""
        return sum(segment.extent_count for segment in self.segments)


@dataclass(frozen=True, slots=True)
class VolumeGroup:
    """A volume group.

    Attributes:
        name: what it is called.
        id: its uuid, without dashes.
        seqno: the version of the text; each change adds one.
        extent_sectors: size of an extent.
        disks: its physical volumes by the text's name for them.
        volumes: its logical volumes by name.
        written: when the text was written, in seconds since 1970; None if it does not say.
        description: why it was written, as LVM says; empty if it does not.
    """

    name: str
    id: str
    seqno: int
    extent_sectors: int
    disks: dict[str, LvmDisk]
    volumes: dict[str, LogicalVolume]
    written: int | None = None
    description: str = ""

    @property
    def when(self) -> str:
        """When the text was written, as ` (2026-11-23 18:43 UTC)`; empty if it does not say."""
        if self.written is None:
            return ""
        return f" ({datetime.fromtimestamp(self.written, UTC):%Y-%m-%d %H:%M} UTC)"

    def volume(self, name: str) -> LogicalVolume:
        """Return a logical volume that another one is made of.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.volumes:
            raise InputError(
                f"{self.name}: there is no logical volume {name}, which a pool is made of"
            )
        return self.volumes[name]

    def bytes_of(self, volume: LogicalVolume) -> int:
        """Return the size of `volume` in bytes."""
        return volume.nr_extents * self.extent_sectors * SECTOR_BYTES

    def thin_volumes(self, pool: str) -> list[tuple[LogicalVolume, ThinVolume]]:
        """Return the thin volumes of the pool called `pool`, by device id."""
        found = [
            (volume, volume.thin)
            for volume in self.volumes.values()
            if volume.thin and volume.thin.pool == pool
        ]
        return sorted(found, key=lambda each: each[1].device_id)


def read_group(text: str, source: str) -> VolumeGroup:
    """Return the group that `text` describes.

    Args:
        text: a backup, or one text of a metadata area.
        source: where it comes from, for messages.

    Raises:
        InputError: it is no such text, or what it says cannot be.
    """
    top = Fields(parse_lvm_text(text, source), source)
    groups = [fields for fields in top.sections() if "extent_size" in fields]
    if len(groups) != 1:
        raise InputError(f"{source}: is no LVM metadata: it describes {len(groups)} volume groups")
    fields = groups[0]
    disks = (_disk(each) for each in fields.section("physical_volumes").sections())
    volumes = (_volume(each) for each in fields.section("logical_volumes").sections())
    return VolumeGroup(
        fields.name,
        fields.uuid("id"),
        fields.integer("seqno", 2**32),
        fields.integer("extent_size", _MOST_SECTORS, lowest=1),
        {disk.name: disk for disk in disks},
        {volume.name: volume for volume in volumes},
        top.integer("creation_time", _LAST_SECOND) if "creation_time" in top else None,
        top.remark("description"),
    )


def _disk(fields: Fields) -> LvmDisk:
    return LvmDisk(
        fields.name,
        fields.uuid("id"),
        fields.text("device", ""),
        fields.integer("pe_start", _MOST_SECTORS),
        fields.integer("pe_count", _MOST_EXTENTS),
    )


def _volume(fields: Fields) -> LogicalVolume:
    # With more segments than are counted, LVM does not take the text either.
    count = fields.integer("segment_count", _MOST_EXTENTS)
    sections = [each for each in fields.sections() if each.name.startswith("segment")]
    if len(sections) != count:
        raise fields.error(f"segment_count is {count}, and there are {len(sections)}")
    by_start = sorted(((_segment(each), each) for each in sections), key=_start)
    found = {segment.kind: each for segment, each in by_start}
    return LogicalVolume(
        fields.name,
        fields.uuid("id"),
        fields.texts("tags"),
        tuple(segment for segment, _ in by_start),
        _thin(found["thin"]) if "thin" in found else None,
        _pool(found["thin-pool"]) if "thin-pool" in found else None,
        fields.values,
    )


def _start(found: tuple[Segment, Fields]) -> int:
    return found[0].start_extent


def _segment(fields: Fields) -> Segment:
    kind = fields.text("type").partition("+")[0]  # a flag may follow: thin-pool+CROP_METADATA
    start = fields.integer("start_extent", _MOST_EXTENTS)
    count = fields.integer("extent_count", _MOST_EXTENTS, lowest=1)
    if kind == "raid1":  # of each leg two volumes, the one that says what is in step first
        return Segment(kind, start, count, legs=fields.texts("raids")[1::2])
    if kind in ("cache", "writecache"):
        cache = fields.text("cache_pool" if kind == "cache" else "writecache", "")
        is_behind = fields.text("cache_mode", "") in _NEVER_AHEAD
        legs = (fields.text("origin"),)
        return Segment(kind, start, count, legs=legs, cache="" if is_behind else cache)
    if kind == "cache-pool":
        is_behind = fields.text("cache_mode", "") in _NEVER_AHEAD
        return Segment(kind, start, count, cache="" if is_behind else fields.name)
    if kind != "striped":
        return Segment(kind, start, count)
    areas = fields.pairs("stripes")
    if not areas or count % len(areas):
        raise fields.error(f"{count} extents cannot lie on {len(areas)} stripes")
    stripe_size = 0
    if len(areas) > 1:
        stripe_size = fields.integer("stripe_size", _MOST_SECTORS, lowest=1)
    return Segment(kind, start, count, stripe_size, areas)


def _thin(fields: Fields) -> ThinVolume:
    return ThinVolume(
        DeviceId(fields.integer("device_id", _LAST_DEVICE_ID)),
        fields.text("thin_pool"),
        fields.integer("transaction_id", _LAST_TRANSACTION),
        fields.text("origin", ""),
        fields.text("external_origin", ""),
    )


def _pool(fields: Fields) -> ThinPool:
    messages = (each for each in fields.sections() if _MESSAGE.fullmatch(each.name))
    return ThinPool(
        fields.text("metadata"),
        fields.text("pool"),
        fields.integer("chunk_size", _MOST_SECTORS, lowest=1),
        fields.integer("transaction_id", _LAST_TRANSACTION),
        tuple(str(message) for message in messages),
    )
