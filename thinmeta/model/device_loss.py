"""What is lost of one device, by key range."""

from typing import NamedTuple, Self

from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.lost_leaves import LostRange
from thinmeta.units import DeviceId, MetadataBlock


class ExaminedTree(NamedTuple):
    """A mapping tree to look at.

    Attributes:
        device_id: the device it belongs to; None for a bare `root:N`.
        root: None where the mapping tree does not have the device.
        stored: mappings that the details say it has; None if they are lost.
    """

    device_id: DeviceId | None
    root: MetadataBlock | None
    stored: int | None

    @classmethod
    def of(cls, chosen: ChosenDevice) -> Self:
        """Return the mapping tree of a device, or of a bare `root:N`."""
        device = chosen.device
        if device is None:
            return cls(None, chosen.mapping_root, None)
        return cls(device.device_id, chosen.mapping_root, device.mapped_blocks)


class DeviceLoss(NamedTuple):
    """What is lost of a device, and what is left.

    >>> import lzma, thinmeta
    >>> image = bytearray(lzma.open("fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz").read())
    >>> image[85 * 4096 : 86 * 4096] = bytes(4096)
    >>> with thinmeta.open_pool(image) as pool:
    ...     [loss] = pool.device(2).losses().devices
    >>> loss.found, loss.missing, loss.is_complete
    (0, 57, False)

    Attributes:
        tree: the device.
        ranges: what no sound node covers, ascending.
        found: mappings in sound nodes, to blocks of the data device.
        beyond: mappings in sound nodes to blocks past its end, which are left out.
    """

    tree: ExaminedTree
    ranges: tuple[LostRange, ...]
    found: int
    beyond: int

    @property
    def missing(self) -> int | None:
        """How many mappings the details say there should be more; None if they are lost."""
        return None if self.tree.stored is None else max(0, self.tree.stored - self.found)

    @property
    def at_most_missing(self) -> int:
        """How many mappings there can be more, whether the details say it or not."""
        lengths = (lost.last_key - lost.first_key + 1 for lost in self.ranges)
        return self.beyond + sum(lengths) if self.missing is None else self.missing

    @property
    def has_no_details(self) -> bool:
        """Whether it is a device whose details are lost."""
        return self.tree.device_id is not None and self.tree.stored is None

    @property
    def is_complete(self) -> bool:
        """Whether none of the device's mappings is lost."""
        if self.tree.stored == 0 and not self.found and not self.beyond:
            return True  # what is damaged held nothing
        is_whole = self.tree.root is not None and not self.ranges and not self.beyond
        return is_whole and not self.missing
