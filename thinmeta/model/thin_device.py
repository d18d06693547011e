"""A thin device: what the pool's two trees say of one device id."""

from typing import NamedTuple

from thinmeta.units import DeviceId, MetadataBlock


class ThinDevice(NamedTuple):
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
