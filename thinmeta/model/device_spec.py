"""How a device is named on every command line: `DEVICE[@STATE]`.

DEVICE is an id (all digits), or `root:N` for the mapping tree whose root is metadata
block N. STATE is `live`, `snap` or `MAPROOT[:DETAILSROOT]` for one that is past; without
it the state that was opened is meant.
"""

from dataclasses import dataclass
from typing import Self

from thinmeta.errors import NotThereError
from thinmeta.model.pool import Pool
from thinmeta.model.state import AnyState, Roots, parse_state
from thinmeta.model.thin_device import ThinDevice, read_roots
from thinmeta.units import DeviceId, MetadataBlock

_ROOT = "root:"


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device as it was named; exactly one of `device_id` and `root` is there.

    Attributes:
        text: as it was typed.
        device_id: the device's id.
        root: the mapping tree's root.
        state: which state of the pool; None is the one that was opened.
    """

    text: str
    device_id: DeviceId | None
    root: MetadataBlock | None
    state: AnyState | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name.

        Raises:
            ValueError: it is none.
        """
        device, at, state = text.partition("@")
        number = device.removeprefix(_ROOT)
        if not (number.isascii() and number.isdigit()):
            raise ValueError(
                f"{text!r} names no device: give an id such as 186, or root:N for the mapping "
                "tree at metadata block N; append @live, @snap or @MAPROOT for a state"
            )
        is_root = number != device
        return cls(
            text,
            None if is_root else DeviceId(int(number)),
            MetadataBlock(int(number)) if is_root else None,
            parse_state(state) if at else None,
        )


@dataclass(frozen=True, slots=True)
class ChosenDevice:
    """A device that was named and found.

    Attributes:
        name: as it was typed.
        pool: in the state that was named.
        mapping_root: its mapping tree; None if it has none, so maps nothing.
        device: what the pool's trees say of it; None for a `root:N`, and in a past state
            whose details are not known.
    """

    name: str
    pool: Pool
    mapping_root: MetadataBlock | None
    device: ThinDevice | None


def choose_device(pool: Pool, spec: DeviceSpec) -> ChosenDevice:
    """Find the device that `spec` names.

    Raises:
        NotThereError: there is none, or no metadata snapshot is held.
        DamagedMetadataError: the trees that list devices are damaged.
    """
    there = pool.in_state(spec.state) if spec.state else pool
    if spec.root is not None:
        if spec.root >= there.source.nr_blocks:
            raise NotThereError(
                f"{spec.text}: the metadata has only {there.source.nr_blocks} blocks"
            )
        return ChosenDevice(spec.text, there, spec.root, None)
    device_id = spec.device_id or DeviceId(0)
    if isinstance(there.state, Roots) and there.state.details_root is None:
        root = read_roots(there.source, there.superblock, there.on_damage).get(device_id)
        if root is not None:
            return ChosenDevice(spec.text, there, root, None)
    elif device := there.devices.get(device_id):
        return ChosenDevice(spec.text, there, device.mapping_root, device)
    raise NotThereError(f"{pool.source.device.name}: there is no device {spec.text}")
