"""A pool, opened from wherever it is, that finds its devices by name and answers questions."""

from collections.abc import Mapping
from functools import cached_property
from typing import Self

from thinmeta.analyse.recover.salvaging import pool_to_salvage
from thinmeta.library.opened_device import Device, DevicesInPool
from thinmeta.library.questions import Questions, left_of
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.state import AnyState
from thinmeta.model.superblock import Superblock


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
        pool, losses = self._in_state(state)
        return OpenPool(pool, self._names, losses)

    def salvaged(self) -> "OpenPool":
        """Return what is left of the pool, of which all that is sound can be asked.

        Everything is read once before. What is lost is then in `losses()`, `device(...).losses()`,
        and of a volume what cannot be read. A device whose details are lost is there, with
        times that are later than those of all mappings; mappings past the data device's end
        are not. `usage().exclusive` is the most that there can be.

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
        if self._losses is not None:
            return self
        pool, losses = pool_to_salvage(self._pool)
        return OpenPool(left_of(pool, losses), self._names, losses)

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
