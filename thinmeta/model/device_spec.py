"""How a device is named on every command line: `DEVICE[@STATE]`.

DEVICE is an id (all digits), `root:N` for the mapping tree whose root is metadata block
N, or a name that Docker or LVM gave it; `name:186` is the name 186. STATE is `live`,
`snap` or `MAPROOT[:DETAILSROOT]` for one that is past; without it the state that was
opened is meant.
"""

from typing import NamedTuple, Self

from thinmeta.errors import NotThereError
from thinmeta.model.device_table import read_roots
from thinmeta.model.pool import Pool
from thinmeta.model.state import AnyState, parse_state
from thinmeta.model.thin_device import ThinDevice
from thinmeta.units import DeviceId, MetadataBlock

_ROOT = "root:"
_NAME = "name:"


class DeviceSpec(NamedTuple):
    """A device as it was named: one of `device_id`, `root` and `name` is there.

    Attributes:
        text: as it was typed.
        device_id: the device's id; with a name, whom it was found to name.
        root: the mapping tree's root.
        state: which state of the pool; None is the one that was opened.
        name: what somebody calls it.
    """

    text: str
    device_id: DeviceId | None
    root: MetadataBlock | None
    state: AnyState | None
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a device.

        Raises:
            ValueError: it is none.
        """
        device, state = _split(text)
        number = device.removeprefix(_ROOT)
        if number.isascii() and number.isdigit():
            if number == device:
                return cls(text, DeviceId(int(number)), None, state)
            return cls(text, None, MetadataBlock(int(number)), state)
        name = device.removeprefix(_NAME)
        if not name or number != device or name.startswith("-"):
            raise ValueError(
                f"{text!r} names no device: give an id such as 186, root:N for the mapping tree "
                "at metadata block N, or a name; append @live, @snap or @MAPROOT for a state"
            )
        return cls(text, None, None, state, name)


def typed_name(name: str) -> str:
    """Return how `name` is typed as a DEVICE: with `name:` where it would be something else.

    >>> typed_name("vg/root"), typed_name("186"), typed_name("root:186"), typed_name("name:v1")
    ('vg/root', 'name:186', 'name:root:186', 'name:name:v1')
    """
    try:
        spec = DeviceSpec.parse(name)
    except ValueError:
        return f"{_NAME}{name}"
    return name if spec.name == name else f"{_NAME}{name}"


def _split(text: str) -> tuple[str, AnyState | None]:
    """Cut off the state; an `@` in a name, as of an image by its digest, is none."""
    device, at, state = text.rpartition("@")
    if not at:
        return text, None
    try:
        return device, parse_state(state)
    except ValueError:
        if device.isdigit() or device.startswith(_ROOT) or not state:
            raise
        return text, None


class ExternalOrigin(NamedTuple):
    """A volume outside of a pool that a device of the pool reads where it has no block.

    Attributes:
        name: how it is shown: `vg/base`.
        id: by which LVM knows it; empty if it is there no more.
        path: of the device on its host.
        size: in bytes.
    """

    name: str
    id: str
    path: str
    size: int


class ChosenDevice(NamedTuple):
    """A device that was named and found.

    Attributes:
        name: as it was typed.
        pool: in the state that was named.
        mapping_root: its mapping tree; None if it has none, so maps nothing.
        device: what the pool's trees say of it; None for a `root:N`, in a past state
            whose details are not known, and where its details are lost.
        device_id: its id; None for a `root:N`.
        known_as: what Docker or LVM call it; None if nobody says.
        size: in bytes, as they know it; the metadata does not.
        external_origin: as they know it; the metadata does not.
    """

    name: str
    pool: Pool
    mapping_root: MetadataBlock | None
    device: ThinDevice | None
    device_id: DeviceId | None = None
    known_as: str | None = None
    size: int | None = None
    external_origin: ExternalOrigin | None = None

    @classmethod
    def of(cls, pool: Pool, device: ThinDevice) -> Self:
        """Return a device of a pool as if its id had been typed."""
        name = str(device.device_id)
        return cls(name, pool, device.mapping_root, device, device.device_id)


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
    if spec.device_id is None:
        raise NotThereError(
            f"{spec.text}: nobody says which device this is; names come from --docker-root or --lvm"
        )
    device_id = spec.device_id
    if not there.knows_details:
        root = read_roots(there.source, there.superblock, there.on_damage).get(device_id)
        if root is not None:
            return ChosenDevice(spec.text, there, root, None, device_id)
    elif device := there.devices.get(device_id):
        return ChosenDevice(spec.text, there, device.mapping_root, device, device_id)
    elif (root := there.device_table.without_details.get(device_id)) is not None:
        return ChosenDevice(spec.text, there, root, None, device_id)
    raise NotThereError(f"{pool.source.device.name}: there is no device {spec.text}")
