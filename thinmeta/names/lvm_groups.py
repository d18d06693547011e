"""What LVM's texts and disks tell: groups, versions, disks, pools and volumes, removed ones too."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from thinmeta.lvm.group import LogicalVolume, VolumeGroup
from thinmeta.lvm.lvm_state import LvmState
from thinmeta.lvm.spellings import dashed
from thinmeta.names.lvm_catalogue import names_of
from thinmeta.units import SECTOR_BYTES


class ListedDisk(NamedTuple):
    """A physical volume.

    Attributes:
        name: what the text calls it: `pv0`.
        uuid: as LVM shows it.
        size: of its extents, in bytes.
        device: the path it had when the text was written; empty if the text does not say.
        given_as: the disk that was given, as it was typed; None if it is missing.
        offset: where it begins on that, in bytes.
    """

    name: str
    uuid: str
    size: int
    device: str
    given_as: str | None
    offset: int | None


class ListedVersion(NamedTuple):
    """A version of a group's text.

    Attributes:
        number: its seqno, as `--lv VG/POOL#SEQNO` takes it.
        written: when, in seconds since 1970; None if it does not say.
        description: why, as LVM says; empty if it does not.
        nr_volumes: how many logical volumes it has.
        counts: whether it is the one that counts.
    """

    number: int
    written: int | None
    description: str
    nr_volumes: int
    counts: bool


class ListedVolume(NamedTuple):
    """A logical volume.

    Attributes:
        name: as commands take it: a pool's with `--lv`, a thin volume's as DEVICE with its
            pool, any other with `--metadata-lv`; of one that was removed with `#SEQNO`.
        kind: `thin-pool`, `thin`, or the type of its first segment.
        size: in bytes.
        version: the last version of the text that has it; None if the one that counts does.
        pool: of a thin volume, as `--lv` takes it.
        device_id: of a thin volume.
        transaction_id: the pool's, now or, of a thin volume, when it was created.
        metadata: of a pool, the name of that volume.
        data: likewise.
        data_block_sectors: of a pool.
    """

    name: str
    kind: str
    size: int
    version: int | None = None
    pool: str | None = None
    device_id: int | None = None
    transaction_id: int | None = None
    metadata: str | None = None
    data: str | None = None
    data_block_sectors: int | None = None


class ListedGroup(NamedTuple):
    """A volume group.

    Attributes:
        name: what it is called.
        uuid: as LVM shows it.
        shown: by which of the two commands take it: the uuid where another one has the name.
        disks: its physical volumes.
        versions: of its text, newest first.
        volumes: pools, each before its thin volumes, then others; last those that were removed.
    """

    name: str
    uuid: str
    shown: str
    disks: list[ListedDisk]
    versions: list[ListedVersion]
    volumes: list[ListedVolume]


def listed_groups(state: LvmState) -> list[ListedGroup]:
    """Return all that is known of all groups.

    Raises:
        InputError: a physical volume was given twice.

    Example:
        >>> from thinmeta.lvm.lvm_state import read_lvm
        >>> with read_lvm(["fixtures/c01-lvm-thin-one-pv/pv.bin.xz"]) as state:
        ...     (group,) = listed_groups(state)
        >>> [(each.name, each.device_id) for each in group.volumes if each.version]
        [('vgthin/junk#16', 6)]
    """
    names = [group.name for group in state.groups]
    return [_listed(state, group, is_only=names.count(group.name) == 1) for group in state.groups]


def _listed(state: LvmState, group: VolumeGroup, *, is_only: bool) -> ListedGroup:
    shown = group.name if is_only else dashed(group.id)
    versions = [*state.versions(group)]
    by_text = {(each.seqno, each.written): each for each in reversed([group, *versions])}
    newest_first = sorted(by_text.values(), key=lambda each: each.seqno, reverse=True)
    return ListedGroup(
        group.name,
        dashed(group.id),
        shown,
        [*_disks(state, group)],
        [
            ListedVersion(
                each.seqno,
                each.written,
                each.description,
                len(each.volumes),
                (each.seqno, each.written) == (group.seqno, group.written),
            )
            for each in newest_first
        ],
        [*_volumes(group, shown, versions), *_removed(group, shown, versions)],
    )


def _disks(state: LvmState, group: VolumeGroup) -> Iterator[ListedDisk]:
    for disk in group.disks.values():
        found, _ = state.given.place(group, disk)
        yield ListedDisk(
            disk.name,
            dashed(disk.id),
            disk.pe_count * group.extent_sectors * SECTOR_BYTES,
            disk.device,
            found.disk.name if found else None,
            found.offset if found else None,
        )


def _volumes(
    group: VolumeGroup, shown: str, versions: Sequence[VolumeGroup]
) -> Iterator[ListedVolume]:
    for volume in group.volumes.values():
        if volume.pool:
            pool = f"{shown}/{volume.name}"
            yield _pool(group, volume, pool)
            for named in names_of(group, volume, versions):
                yield ListedVolume(
                    named.name,
                    "thin",
                    named.size or 0,
                    named.version,
                    pool,
                    named.device_id,
                    named.transaction_id,
                )
    for volume in group.volumes.values():
        if not volume.pool and not volume.thin:
            yield _other(group, volume, f"{shown}/{volume.name}")


def _removed(
    group: VolumeGroup, shown: str, versions: Sequence[VolumeGroup]
) -> Iterator[ListedVolume]:
    """Yield pools that were removed, with their volumes, and others, but not their parts."""
    seen = {volume.id for volume in group.volumes.values()}
    others = []
    for version in versions:
        for volume in version.volumes.values():
            if volume.id in seen or volume.thin:
                continue
            seen.add(volume.id)
            name = f"{shown}/{volume.name}#{version.seqno}"
            if volume.pool is None:
                others.append(_other(version, volume, name)._replace(version=version.seqno))
                continue
            yield _pool(version, volume, name)._replace(version=version.seqno)
            for each, one in version.thin_volumes(volume.name):
                yield ListedVolume(
                    f"{version.name}/{each.name}",
                    "thin",
                    version.bytes_of(each),
                    version.seqno,
                    name,
                    one.device_id,
                    one.transaction_id,
                )
    yield from others


def _pool(group: VolumeGroup, volume: LogicalVolume, name: str) -> ListedVolume:
    pool = volume.pool
    assert pool is not None  # who else is listed so
    return ListedVolume(
        name,
        "thin-pool",
        group.bytes_of(volume),
        transaction_id=pool.transaction_id,
        metadata=pool.metadata,
        data=pool.data,
        data_block_sectors=pool.chunk_sectors,
    )


def _other(group: VolumeGroup, volume: LogicalVolume, name: str) -> ListedVolume:
    first = volume.segments[0] if volume.segments else None
    kind = first.kind if first is not None else "empty"
    if first is not None and len(first.areas) == 1:
        kind = "linear"  # which LVM writes as one stripe
    return ListedVolume(name, kind, group.bytes_of(volume))
