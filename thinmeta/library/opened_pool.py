"""A pool, opened from wherever it is, that finds its devices by name and answers questions."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from thinmeta.library.damaged import Damaged
from thinmeta.library.opened_device import Device, DevicesInPool
from thinmeta.library.questions import Questions
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.state import AnyState
from thinmeta.model.superblock import Superblock
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import MAX_BYTES

if TYPE_CHECKING:
    from thinmeta.analyse.region_files import OnDeviceError, RegionRun
    from thinmeta.library.result_list import ResultList


class OpenPool(Questions):
    """A pool's metadata, open for reading; a context manager. `open_pool` returns it.

    Threads may read one pool together; `on_damage` is called in the thread that reads.
    Nothing is ever written.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     print(pool.superblock.time, list(pool.devices), pool.state)
    4 [1, 3, 5, 7, 8] live
    """

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close what `open_pool` opened, disks of `names` too, but no file object that it got.

        >>> import thinmeta
        >>> pool = thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz")
        >>> pool.close()
        """
        self._pool.close()
        self._names.close()

    @property
    def superblock(self) -> Superblock:
        """What the superblock of the state says that is read."""
        return self._pool.superblock

    @property
    def live_superblock(self) -> Superblock:
        """What the superblock in block 0 says, which alone knows the space maps."""
        return self._pool.live_superblock

    @property
    def state(self) -> AnyState:
        """The state that is read."""
        return self._pool.state

    @cached_property
    def devices(self) -> Mapping[int, Device]:
        """The devices by ascending id, read when first asked for.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print([(each, device.mapped_blocks) for each, device in pool.devices.items()])
        [(1, 577), (3, 0), (5, 640), (7, 577), (8, 192)]

        Raises:
            DamagedMetadataError: a part of them is lost, and `on_damage` raises.
        """
        return DevicesInPool(self._pool, self._names, self._losses)

    @property
    def data_ref_counts(self) -> RefCounts:
        """How many leaves map each data block, as the data space map says: uint32, by range.

        Source: drivers/md/persistent-data/dm-space-map-common.h.
        """
        return self._pool.data_ref_counts

    @property
    def metadata_ref_counts(self) -> RefCounts:
        """How many references each metadata block has, as the metadata space map says.

        Source: drivers/md/persistent-data/dm-space-map-common.h.
        """
        return self._pool.metadata_ref_counts

    def in_state(self, state: AnyState) -> "OpenPool":
        """Return the same pool in another state; it reads through the same file.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a13-metadata-snapshot-held/meta.bin.xz") as pool:
        ...     held = pool.in_state(thinmeta.State.SNAP)
        ...     print(list(pool.devices), list(held.devices))
        [1, 3, 4, 5] [1, 2, 3]

        Raises:
            NoSnapshotError: no metadata snapshot is held.
            NotThereError: a root is past the end of the metadata.
            DamagedMetadataError: the snapshot's superblock is damaged.
            LiveDeviceError: another state than the snapshot's of a pool that is active.
        """
        pool, losses, damaged = self._in_state(state)
        return OpenPool(pool, self._names, losses, damaged)

    def files_at(  # noqa: PLR0913  # each is a choice of its own
        self,
        begin: int,
        end: int,
        data: str | Path | None = None,
        *,
        partition: int | None = None,
        inside: str | None = None,
        replay: bool = True,
        on_error: "OnDeviceError | None" = None,
    ) -> "ResultList[RegionRun]":
        """Return which files are in a part of the data device, as `thinmeta rmap --files` shows it.

        In the order of `rmap`, all that devices map of the data blocks that it touches. Of a
        device that has no file system that is read here, `why` says what it has instead.
        `columns()` has a row for each thing that is there.

        Args:
            begin: first byte of the data device, such as that of a bad sector.
            end: the byte after the last one.
            data: the pool's data device, or an image of it; None if the names' source has it.
            partition: number of the partition to read, as for `Device.files`.
            inside: name of the logical volume to read, likewise.
            replay: read file systems with their journals replayed, in memory.
            on_error: told of what cannot be read: the device's id, a file's path, or None for all
                of the device, and the error. None raises it.

        Raises:
            InputError: by `on_error`; or the data block size is not known.
            DamagedMetadataError: a node is bad, and `on_damage` raises.
        """
        from thinmeta.library.found_files import files_at, raise_device_error

        def volume_of(device_id: int) -> Volume:
            device = self.device(device_id)
            return device.open(data, size=MAX_BYTES if device.size is None else device.size)

        return files_at(
            self._pool,
            volume_of,
            (begin, end),
            raise_device_error if on_error is None else on_error,
            partition=partition,
            inside=inside,
            replay=replay,
        )

    def salvaged(self, *, likely: bool = False) -> "OpenPool":
        """Return what is left of the pool, of which all that is sound can be asked.

        Everything is read once before. What is lost is then in `losses()`, `device(...).losses()`,
        and of a volume what cannot be read. A device whose details are lost is there, with
        times that are later than those of all mappings; mappings past the data device's end
        are not. `usage().exclusive` is the most that there can be.

        What hung below a lost node is there where that is proven. Where nothing is proven, what
        likely hung there is, if `likely` is given: times, what devices share and older states
        speak for it. `losses().rebuilt` tells the one from the other.

        >>> import lzma, thinmeta
        >>> path = "fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz"
        >>> image = bytearray(lzma.open(path).read())
        >>> image[85 * 4096 : 86 * 4096] = bytes(4096)
        >>> with thinmeta.open_pool(bytes(image)) as pool:
        ...     left = pool.salvaged()
        ...     print(left.usage().mapped[:3].tolist(), left.device(2).losses().devices[0].missing)
        [52, 0, 58] 57

        Raises:
            InputError: a metadata snapshot was read, and the pool moved on meanwhile.
        """
        before = self._damaged
        if before is not None and before.likely == likely:
            return self
        damaged = Damaged(self._pool if before is None else before.pool, likely)
        pool, losses = damaged.left()
        return OpenPool(pool, self._names, losses, damaged)

    def verify_unchanged(self) -> None:
        """Read the live superblock again, if it is a metadata snapshot that was read.

        >>> import thinmeta
        >>> path = "fixtures/a13-metadata-snapshot-held/meta.bin.xz"
        >>> with thinmeta.open_pool(path, state=thinmeta.State.SNAP) as pool:
        ...     pool.verify_unchanged()

        Raises:
            InputError: the snapshot was released, or the pool moved on meanwhile.
        """
        self._pool.verify_unchanged()
