"""What a pool answers: which device somebody means, and what the commands ask."""

from collections.abc import Iterable
from functools import cached_property

from thinmeta.analyse.block.look import BlockReport, look_at
from thinmeta.analyse.block.scanned_blocks import ScannedBlocks
from thinmeta.analyse.check.checker import check_pool
from thinmeta.analyse.check.findings import CheckReport
from thinmeta.analyse.freed import FreedTogether
from thinmeta.analyse.layers import MeasuredLayer, measured, stack
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.salvaging import pool_to_salvage
from thinmeta.analyse.recover.scan import scan
from thinmeta.analyse.removed_names import resolved_anywhen
from thinmeta.errors import NotThereError
from thinmeta.library import answers
from thinmeta.library.damaged import Damaged
from thinmeta.library.opened_device import Device
from thinmeta.library.result_list import (
    ResultList,
    list_of_disagreements,
    list_of_layers,
    list_of_states,
)
from thinmeta.library.result_table import TableStream
from thinmeta.library.results import FreeTable, SharerTable, UsageTable
from thinmeta.model.device_spec import DeviceSpec, choose_device
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.model.state import AnyState, Roots
from thinmeta.names.disagreements import Disagreement, disagreements
from thinmeta.names.name_sources import NameSources


class Questions:
    """A pool in one state, and who names its devices."""

    def __init__(
        self,
        pool: Pool,
        names: NameSources | None = None,
        losses: Losses | None = None,
        damaged: Damaged | None = None,
    ) -> None:
        """Take over a pool; of what is left of a `damaged` one, `losses` are what is not."""
        self._pool = pool
        self._names = NameSources() if names is None else names
        self._losses = losses
        self._damaged = damaged

    def _in_state(self, state: AnyState) -> tuple[Pool, Losses | None, Damaged | None]:
        pool = self._pool.in_state(state)
        if self._damaged is None or pool is self._pool:
            return pool, self._losses, self._damaged
        damaged = self._damaged._replace(pool=self._damaged.pool.in_state(state))
        return *damaged.left(), damaged

    def device(self, spec: int | str) -> Device:
        """Find a device, as every command takes it: `186`, `"vg/lv"`, `"12@63:66"`, `"root:9"`.

        `name:186` is the name 186; `@live`, `@snap` or `@MAPROOT[:DETAILSROOT]` names a state.
        A device that was deleted is found by its name in the newest state that has all of it.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a13-metadata-snapshot-held/meta.bin.xz") as pool:
        ...     print(pool.device(1).mapped_blocks, pool.device("2@31:32").device_id)
        230 2

        Args:
            spec: an id, or what is typed on a command line.

        Raises:
            ValueError: it is no device.
            NotThereError: there is none, nobody or several are called so, or the name is
                that of another device than the one that has its id in the pool.
            DamagedMetadataError: the trees that list devices are damaged.
        """
        parsed = DeviceSpec.parse(str(spec))
        scan_command = f"thinmeta scan {self._pool.source.device.name}"
        parsed = resolved_anywhen(self._names, self._pool, parsed, scan_command).spec
        pool, losses, _ = self._in_state(parsed.state or self._pool.state)
        chosen = choose_device(pool, parsed)
        return Device(self._names.introduced(chosen), self._names, losses)

    def disagreements(self) -> ResultList[Disagreement]:
        """Return where the pool and the sources of names disagree; none without a source.

        >>> import thinmeta
        >>> root = "fixtures/docker-loop-lvm-xfs-64k/docker-state"
        >>> names = thinmeta.NameSources(docker_root=root)
        >>> path = "fixtures/a09-discards-and-deletes/meta.bin.xz"
        >>> with thinmeta.open_pool(path, names=names) as another_pool:
        ...     print(another_pool.disagreements()[1].what)
        device 3 has no name

        Raises:
            InputError: a source of names cannot be used.
        """
        return list_of_disagreements(
            disagreements(
                self._pool.devices,
                self._pool.superblock.transaction_id,
                self._names.catalogues(self._pool),
                is_past=isinstance(self._pool.state, Roots),
            )
        )

    def usage(self) -> UsageTable:
        """Return what each device maps, by device id, in blocks, as `thinmeta ls` does.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     usage = pool.usage()
        >>> usage.device_id.tolist(), usage.exclusive.tolist()
        ([1, 3, 5, 7, 8], [0, 0, 640, 0, 192])

        Raises:
            DamagedMetadataError: a node is bad, and `on_damage` raises; else what the node
                held is left out, and `is_complete` and `is_exact` say so.
            InputError: a metadata snapshot was read, and the pool moved on meanwhile.
        """
        return answers.usage_table(self._pool, self._losses)

    def freed(self, devices: Iterable[int | str | Device]) -> FreedTogether:
        """Return what the pool gains when all of `devices` are deleted, as `ls --together` does.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a08-snapshots-of-snapshots/meta.bin.xz") as pool:
        ...     alone = [pool.freed([each]).blocks for each in (1, 2)]
        ...     print(alone, pool.freed([1, 2]).blocks)
        [3, 0] 6

        Args:
            devices: see `device`.

        Raises:
            ValueError: a device is of another state, or is a bare `root:N`.
            NotThereError: there is no such device.
            DamagedMetadataError: a node is bad, and `on_damage` raises; else `is_exact`
                says that something is lost.
        """
        chosen = [each if isinstance(each, Device) else self.device(each) for each in devices]
        return answers.freed_of(self._pool, chosen, self._losses)

    def diff(
        self, left: int | str | Device, right: int | str | Device, *, with_same: bool = False
    ) -> answers.Difference:
        """Return what changed from one device to another, by origin block, as `thinmeta diff` does.

        Nothing is read yet, and subtrees that both share only for `with_same`. With an
        `on_damage` that goes on, both devices are read once before, to know whether anything
        of them is lost: their details do not tell then how much is the same.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.diff(7, 1).summary().added)
        0

        Args:
            left: the device to begin with; see `device`.
            right: the one to end with.
            with_same: return the ranges that are the same, too.

        Raises:
            NotThereError: there is no such device.
            DamagedMetadataError: while it is read, a node is bad, and `on_damage` raises.
        """
        both = (each if isinstance(each, Device) else self.device(each) for each in (left, right))
        return answers.difference(*both, with_same=with_same)

    def rmap(self, begin: int, end: int) -> TableStream[SharerTable]:
        """Return who maps the data blocks `begin..end`, half-open, as `thinmeta rmap` does.

        By data block; devices that share a leaf all are there, though it counts once on disk.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.rmap(64, 66).read().device_id.tolist())
        [1, 7]

        Raises:
            DamagedMetadataError: while it is read, a node is bad, and `on_damage` raises.
        """
        return answers.sharers(self._pool, begin, end)

    def free_ranges(self) -> TableStream[FreeTable]:
        """Return the data blocks that the data space map counts as free, by first block.

        What a damaged bitmap counts is left out: it is not known to be free.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(int(pool.free_ranges().read().length.sum()))
        6783

        Raises:
            DamagedMetadataError: while it is read, the space map is damaged, and
                `on_damage` raises.
        """
        return answers.free(self._pool)

    def check(self) -> CheckReport:
        """Hold the metadata against all that it promises, as `thinmeta check` does.

        Damage is among the findings, and never raised.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.check().worst)
        None

        Raises:
            InputError: a metadata snapshot was read, and the pool moved on meanwhile.
        """
        return check_pool(self._pool)

    def states(self) -> ResultList[Candidate]:
        """Return the states that are left on the metadata device, best first, as `scan` does.

        All blocks are read, of a compressed image those that the superblock counts; where
        it is lost, `find_states` finds them. `in_state(state.roots)` reads one.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     for state in pool.states()[:2]:
        ...         print(state.roots, state.is_live, state.nr_devices)
        122:124 True 5
        100:101 False 7
        """
        return list_of_states(scan(self._pool.source.device).candidates)

    def block(self, number: int) -> BlockReport:
        """Return what is in a metadata block and who refers to it, as `thinmeta block` does.

        All blocks are read when the first is asked for, of a compressed image those that the
        superblock counts.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     leaf = pool.block(123)
        >>> leaf.block_class.name, leaf.content.entries["data_block"][:3].tolist()
        ('MAPPINGS', [1938, 1939, 1940])
        >>> [(led.state.is_live, led.device_ids.tolist()) for led in leaf.ways.states]
        [(True, [8])]

        Raises:
            NotThereError: the metadata has no such block.
        """
        return look_at(self._scanned, number)

    @cached_property
    def _scanned(self) -> ScannedBlocks:
        return ScannedBlocks.of(self._pool.source.device)

    def layers(self, name: str | None = None) -> ResultList[MeasuredLayer]:
        """Return what Docker's images and containers are made of, as `thinmeta layers` does.

        >>> import thinmeta
        >>> folder = "fixtures/docker-direct-lvm-ext4-512k"
        >>> names = thinmeta.NameSources(docker_root=f"{folder}/docker-state")
        >>> with thinmeta.open_pool(f"{folder}/meta.bin.xz", names=names) as pool:
        ...     columns = pool.layers().columns()
        >>> columns["kind"][:2].tolist(), columns["exclusive"][:2].tolist()
        (['base', 'image'], [3, 3])

        Args:
            name: of an image or a container, whose layers are returned from the base to its
                top; None is all devices of Docker's.

        Raises:
            NotThereError: the names' source is neither Docker nor containerd, or it knows no such
                device.
            DamagedMetadataError: a node is bad, and `on_damage` raises.
        """
        docker = self._names.containers(self._pool)
        if docker is None:
            raise NotThereError(
                "layers are Docker's or containerd's: give names=NameSources(docker_root=...)"
            )
        devices = docker.devices
        chosen = devices.values() if name is None else stack(devices, docker.called(name))
        return list_of_layers(measured(self._pool, devices, chosen, losses=self._losses))

    def losses(self) -> Losses:
        """Read everything once, and say for each device what is lost of it; nothing raises.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.losses().is_complete)
        True
        """
        return pool_to_salvage(self._pool)[1] if self._losses is None else self._losses
