"""A thin device: what the pool's two trees say of one device id, and its runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from thinmeta.errors import OnDamage
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.nodes import Metadata
from thinmeta.walk.runs import Run, Runs
from thinmeta.walk.stream_reader import read_runs


@dataclass(frozen=True, slots=True)
class RunStream:
    """A device's runs, read again each time they are asked for, in bounded pieces."""

    device: "ThinDevice"

    def __iter__(self) -> Iterator[Run]:
        """Return the runs one by one, as tuples of ints."""
        for chunk in self.chunks():
            yield from chunk

    def chunks(self) -> Iterator[Runs]:
        """Return the runs in pieces of arrays: at most those of some thousand nodes.

        Raises:
            DamagedMetadataError: a node is bad and the pool's `on_damage` raises;
                the runs that precede it have been returned.
        """
        device = self.device
        return read_runs(device.source, device.mapping_root, device.device_id, device.on_damage)

    def read(self) -> Runs:
        """Return all runs at once; their size is the device's."""
        return Runs.joined([Runs.none(), *self.chunks()])


@dataclass(frozen=True, slots=True)
class ThinDevice:
    """One thin device as the metadata describes it.

    Attributes:
        device_id: the id by which the pool knows it.
        mapped_blocks: mappings that it should have.
        transaction_id: the pool's transaction id when it was created.
        creation_time: the pool's clock then.
        snap_time: the pool's clock when it was last snapshotted, or created as a snapshot.
        mapping_root: its mapping tree; None if the mapping tree does not know the id.
    """

    device_id: DeviceId
    mapped_blocks: int
    transaction_id: int
    creation_time: int
    snap_time: int
    mapping_root: MetadataBlock | None
    source: Metadata = field(repr=False, compare=False)
    on_damage: OnDamage = field(repr=False, compare=False)

    def runs(self) -> RunStream:
        """Return the device's mappings, neighbours joined into runs."""
        return RunStream(self)
