"""How a device is named on every command line: `DEVICE[@STATE]`.

DEVICE is an id (all digits), or `root:N` for the mapping tree whose root is metadata
block N. STATE is `live` or `snap`; without it the state that was opened is meant.
"""

from dataclasses import dataclass
from typing import Self

from thinmeta.errors import NotThereError
from thinmeta.model.pool import Pool, State
from thinmeta.model.thin_device import ThinDevice
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
    state: State | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name.

        Raises:
            ValueError: it is none.
        """
        device, at, state = text.partition("@")
        number = device.removeprefix(_ROOT)
        if not (number.isascii() and number.isdigit()) or (at and state not in _STATES):
            raise ValueError(
                f"{text!r} names no device: give an id such as 186, or root:N for the mapping "
                "tree at metadata block N; append @live or @snap for a state"
            )
        is_root = number != device
        return cls(
            text,
            None if is_root else DeviceId(int(number)),
            MetadataBlock(int(number)) if is_root else None,
            _STATES[state] if at else None,
        )


@dataclass(frozen=True, slots=True)
class ChosenDevice:
    """A device that was named and found.

    Attributes:
        name: as it was typed.
        pool: in the state that was named.
        mapping_root: its mapping tree; None if it has none, so maps nothing.
        device: what the pool's trees say of it; None for a `root:N`.
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
    device = there.devices.get(spec.device_id or 0)
    if device is None:
        raise NotThereError(f"{pool.source.device.name}: there is no device {spec.text}")
    return ChosenDevice(spec.text, there, device.mapping_root, device)


_STATES = {state.value: state for state in State}
