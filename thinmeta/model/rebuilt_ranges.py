"""What was lost and is there all the same: nodes put together from what hung below them."""

from typing import NamedTuple

from thinmeta.units import DeviceId, MetadataBlock


class RebuiltRange(NamedTuple):
    """A node of a device's mapping tree that is lost, but whose children are known all the same.

    Attributes:
        device_id: the device.
        block: where the node was.
        first_key: the first origin block that is mapped below it.
        last_key: the last.
        nr_mappings: how many are.
        origin: `proven`: the references that are missing, the keys and the numbers of mappings
            allow nothing else, or a checksum. `likely`: they allow more, but times and older
            states speak for it.
        what: what was wrong, and what proves what was there, or speaks for it.
    """

    device_id: DeviceId
    block: MetadataBlock
    first_key: int
    last_key: int
    nr_mappings: int
    origin: str
    what: str


class UndecidedSubtree(NamedTuple):
    """A sound part of a mapping tree that is somebody's, and nobody knows whose.

    Attributes:
        block: its highest node.
        first_key: the first origin block that is mapped below it.
        last_key: the last.
        nr_mappings: how many are.
        device_ids: the devices that may have it, ascending.
    """

    block: MetadataBlock
    first_key: int
    last_key: int
    nr_mappings: int
    device_ids: tuple[DeviceId, ...]
