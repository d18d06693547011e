"""A device of an open pool: what is known of it, its runs, its contents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from thinmeta.analyse.recover.salvaging import device_to_salvage
from thinmeta.device.extents import Extents
from thinmeta.errors import Damage, InputError, raise_damage
from thinmeta.library.result_table import TableStream, signed
from thinmeta.library.results import RunTable
from thinmeta.model.device_spec import ChosenDevice, ExternalOrigin
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.model.volumes import volume_of
from thinmeta.names.name_sources import NameSources
from thinmeta.names.volume_sources import own_data, with_origin
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import MAX_BYTES
from thinmeta.walk.stream_reader import read_runs

if TYPE_CHECKING:
    from thinmeta.library.device_files import DeviceFiles


@dataclass(frozen=True, slots=True, repr=False)
class Device:
    """A device in one state of a pool; `pool.device(...)` returns it.

    Numbers of which the metadata says nothing are None: of a `root:N`, in a past state
    without details, and where the details are lost.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     device = pool.device(5)
    ...     print(device.device_id, device.mapped_blocks, device.mapping_root, device.name)
    5 640 38 None

    Source: `struct disk_device_details`, drivers/md/dm-thin-metadata.c.
    """

    chosen: ChosenDevice
    _names: NameSources | None = field(default=None, compare=False)
    _losses: Losses | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Name it."""
        return f"<Device {self.chosen.name}>"

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
        is not among them: it is damage, of which `on_damage` is told, as it is where the whole
        mapping tree is lost.

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
        self._tell_of_lost_tree()
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

    def losses(self) -> Losses:
        """Read its mappings, and say what is lost of it, whatever `on_damage` is.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.device(1).losses().is_complete)
        True
        """
        known = self._known_losses
        return device_to_salvage(self.chosen)[1] if known is None else known

    def open(
        self,
        data: str | Path | Extents | None = None,
        *,
        size: int | None = None,
        origin: str | Path | Extents | None = None,
    ) -> Volume:
        """Open its contents, as a file that is only read; zeros where it maps nothing.

        What is lost is not zeros: by default damage raises when the first byte is read. With an
        `on_damage` that goes on, to read what is lost raises `OSError`: the mappings are then
        read once more before, to know what that is.

        >>> import lzma, tempfile, thinmeta
        >>> data = tempfile.NamedTemporaryFile()
        >>> _ = data.write(lzma.open("fixtures/a19-device-id-reuse/data.bin.xz").read())
        >>> with thinmeta.open_pool("fixtures/a19-device-id-reuse/meta.bin.xz") as pool:
        ...     with pool.device(1).open(data.name, size=24 << 20) as volume:
        ...         print(volume.seek(512), len(volume.read(4096)))
        512 4096

        Args:
            data: the pool's data device, or an image of it; None if the names' source has it.
            size: in bytes; None is what its name says, else up to its last mapped block.
            origin: its external origin; None is what LVM's disks have of it.

        Raises:
            InputError: nobody knows where the data is, it is another pool's than the names'
                source, or it or the origin cannot be read.
            DamagedMetadataError: its mapping tree is lost.
        """
        pool, names = self.chosen.pool, self._names or NameSources()
        if self.device_id is None:
            raise InputError(f"{self.chosen.name}: a mapping tree without a device id has no size")
        self._tell_of_lost_tree()
        if self._is_without_tree:
            raise InputError(f"device {self.device_id}: nothing of its mapping tree is left")
        opened = own_data(names, pool, data)
        if opened is None:
            raise InputError(f"{pool.source.device.name}: nobody says where the data is")
        sources = with_origin(names, self.chosen, opened, origin)
        return volume_of(self.chosen, sources, size=size, prepare=self._to_leave_out)

    def files(  # noqa: PLR0913  # each is a choice of its own
        self,
        data: str | Path | Extents | None = None,
        *,
        size: int | None = None,
        origin: str | Path | Extents | None = None,
        partition: int | None = None,
        inside: str | None = None,
        replay: bool = True,
        all_of_it: bool = False,
    ) -> "DeviceFiles":
        r"""Open the file system on it, to list and read files without a mount.

        >>> import lzma, tempfile, thinmeta
        >>> data = tempfile.NamedTemporaryFile()
        >>> _ = data.write(lzma.open("fixtures/c04-lvm-virtual-machines/data.bin.xz").read())
        >>> with thinmeta.open_pool("fixtures/c04-lvm-virtual-machines/meta.bin.xz") as pool:
        ...     with pool.device(1).files(data.name, partition=2) as files:
        ...         print([each.path for each in files.walk()])
        ...         print(files.open("/etc/hostname").read())
        [b'etc', b'etc/hostname', b'lost+found']
        b'gpt2\n'

        Args:
            data: as for `open`.
            size: as for `open`; without it what is not mapped is zeros, wherever it ends.
            origin: as for `open`.
            partition: number of the partition to read, if it has a partition table.
            inside: name of the logical volume to read, if LVM is on it, or on its partition.
            replay: read it with its journal replayed, in memory.
            all_of_it: of a device of Docker's, paths do not begin at `rootfs`.

        Raises:
            InputError: there is no file system that is read here, or see `open`.
            NotThereError: there is no such partition, or no such logical volume.
        """
        from thinmeta.files.opened_files import open_files
        from thinmeta.files.reading import VolumeSource
        from thinmeta.library.device_files import DeviceFiles

        size = self.size if size is None else size
        volume = self.open(data, size=MAX_BYTES if size is None else size, origin=origin)
        try:
            source = VolumeSource(volume)
            opened = open_files(source, partition=partition, inside=inside, replay=replay)
            return DeviceFiles(opened, volume, all_of_it=all_of_it)
        except BaseException:
            volume.close()
            raise

    def _to_leave_out(self) -> tuple[ChosenDevice, Losses | None]:
        """Return the device, and what is lost of it if damage does not end the reading."""
        if self.chosen.pool.on_damage is raise_damage:
            return self.chosen, None
        known = self._known_losses
        return device_to_salvage(self.chosen) if known is None else (self.chosen, known)

    @property
    def _known_losses(self) -> Losses | None:
        """What is lost of it, if its pool is what is left of one."""
        if self._losses is None or self.device_id is None:
            return None
        return self._losses.of_one(self.device_id)

    @property
    def _is_without_tree(self) -> bool:
        """Whether it has mappings, and nobody knows which."""
        known = self._known_losses
        stored = self.mapped_blocks if known is None else known.devices[0].tree.stored
        return self.chosen.mapping_root is None and stored != 0

    def _tell_of_lost_tree(self) -> None:
        if self._is_without_tree:
            what = "its mapping tree is lost"
            lost = Damage(what, device_id=self.device_id, first_key=0, key_name="origin block")
            self.chosen.pool.on_damage(lost)


class DevicesInPool(Mapping[int, Device]):
    """The devices of a pool by ascending id, with their names."""

    def __init__(self, pool: Pool, names: NameSources, losses: Losses | None) -> None:
        """Read the devices."""
        self._pool, self._names, self._losses = pool, names, losses
        self._devices = pool.devices

    def __getitem__(self, device_id: int) -> Device:
        """Return the device that has this id; a KeyError if none has."""
        chosen = ChosenDevice.of(self._pool, self._devices[device_id])
        return Device(self._names.introduced(chosen), self._names, self._losses)

    def __iter__(self) -> Iterator[int]:
        """Return the ids."""
        return iter(self._devices)

    def __len__(self) -> int:
        """Return how many devices there are."""
        return len(self._devices)
