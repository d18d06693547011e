"""A device of an open pool: what is known of it, its runs, its contents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thinmeta.device.extents import Extents
from thinmeta.errors import InputError
from thinmeta.library.result_table import TableStream, signed
from thinmeta.library.results import RunTable
from thinmeta.model.device_spec import ChosenDevice, ExternalOrigin
from thinmeta.model.pool import Pool
from thinmeta.names.name_sources import NameSources
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.volume.contents import Volume
from thinmeta.volume.sources import open_source
from thinmeta.walk.stream_reader import read_runs


@dataclass(frozen=True, slots=True)
class Device:
    """A device in one state of a pool; `pool.device(...)` returns it.

    Numbers of which the metadata says nothing are None: of a `root:N`, in a past state
    without details, and where the details are lost.
    """

    chosen: ChosenDevice = field(repr=False)
    _names: NameSources | None = field(default=None, repr=False, compare=False)

    @property
    def device_id(self) -> DeviceId | None:
        """The id by which the pool knows it; None for a `root:N`."""
        return self.chosen.device_id

    @property
    def name(self) -> str | None:
        """What Docker or LVM call it; None if nobody says."""
        return self.chosen.known_as

    @property
    def size(self) -> int | None:
        """In bytes, as Docker or LVM know it: the metadata does not."""
        return self.chosen.size

    @property
    def external_origin(self) -> ExternalOrigin | None:
        """What it reads where it maps nothing, as LVM knows it."""
        return self.chosen.external_origin

    @property
    def mapping_root(self) -> MetadataBlock | None:
        """The metadata block of its mapping tree's root; None if that is lost."""
        return self.chosen.mapping_root

    @property
    def mapped_blocks(self) -> int | None:
        """Blocks that it maps, as its details say."""
        return self.chosen.device.mapped_blocks if self.chosen.device else None

    @property
    def transaction_id(self) -> int | None:
        """The pool's transaction id when it was created."""
        return self.chosen.device.transaction_id if self.chosen.device else None

    @property
    def creation_time(self) -> int | None:
        """The pool's clock when it was created."""
        return self.chosen.device.creation_time if self.chosen.device else None

    @property
    def snap_time(self) -> int | None:
        """The pool's clock when it was last snapshotted, or created as a snapshot."""
        return self.chosen.device.snap_time if self.chosen.device else None

    def runs(self) -> TableStream[RunTable]:
        """Return its mappings, neighbours joined into runs, by origin block.

        Nothing is read yet. A run never spans two pieces. A run that ends at or above 2^63
        is not among them: it is damage, of which `on_damage` is told.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     for run in pool.device(1).runs().read():
        ...         print(run)
        Run(origin_begin=0, data_begin=1936, length=2, time=3)
        Run(origin_begin=64, data_begin=64, length=96, time=0)
        Run(origin_begin=161, data_begin=161, length=479, time=0)
        """
        return TableStream(RunTable.empty, self._runs)

    def _runs(self) -> Iterator[RunTable]:
        pool, root, device_id = self.chosen.pool, self.chosen.mapping_root, self.device_id
        for runs in read_runs(pool.source, root, device_id, pool.on_damage):
            columns = {
                "origin_begin": runs.origin_begin,
                "data_begin": runs.data_begin,
                "length": runs.length,
                "time": runs.time,
            }
            begin, on_damage = "origin_begin", pool.on_damage
            for _, fit in signed(columns, on_damage, begin=begin, device_id=device_id):
                yield RunTable(**fit)

    def open(
        self,
        data: str | Path | Extents | None = None,
        *,
        size: int | None = None,
        origin: str | Path | Extents | None = None,
    ) -> Volume:
        """Open its contents, as a file that is only read; zeros where it maps nothing.

        Args:
            data: the pool's data device, or an image of it; None if the names' source has it.
            size: in bytes; None is what its name says, else up to its last mapped block.
            origin: its external origin; None is what LVM's disks have of it.

        Raises:
            InputError: nobody knows where the data is, it is another pool's than the names'
                source, or it or the origin cannot be read.
            NotThereError: there is no such device.
        """
        pool, names = self.chosen.pool, self._names
        if self.device_id is None:
            raise InputError(f"{self.chosen.name}: a mapping tree without a device id has no size")
        if data is None and names is not None:
            data = names.open_data(pool)
        if data is None:
            raise InputError(f"{pool.source.device.name}: nobody says where the data is")
        opened = data if isinstance(data, Extents) else open_source(Path(data))
        try:
            if names is not None:
                names.refuse_other_pool(pool, opened)
            if origin is None and self.external_origin is not None and names is not None:
                from thinmeta.names.lvm_volumes import open_external_origin

                origin = open_external_origin(names.state_with_origins(), self.external_origin)
            size = self.size if size is None else size
            return pool.open_volume(self.device_id, opened, size=size, origin=origin)
        except BaseException:
            opened.close()
            raise


class DevicesInPool(Mapping[int, Device]):
    """The devices of a pool by ascending id, with their names."""

    def __init__(self, pool: Pool, names: NameSources) -> None:
        """Read the devices."""
        self._pool, self._names = pool, names
        self._devices = pool.devices

    def __getitem__(self, device_id: int) -> Device:
        """Return the device that has this id; a KeyError if none has."""
        device = self._devices[device_id]
        chosen = ChosenDevice(
            str(device_id), self._pool, device.mapping_root, device, device.device_id
        )
        return Device(self._names.introduced(chosen), self._names)

    def __iter__(self) -> Iterator[int]:
        """Return the ids."""
        return iter(self._devices)

    def __len__(self) -> int:
        """Return how many devices there are."""
        return len(self._devices)
