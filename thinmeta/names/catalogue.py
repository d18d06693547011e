"""What names devices: a list of who is who, whoever wrote it down."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from thinmeta.errors import NotThereError
from thinmeta.units import DeviceId

_LISTED_AT_MOST = 10


class NameKind(Enum):
    """What a named device is."""

    BASE = "base"
    """The empty file system that Docker's lowest layers are snapshots of."""

    LAYER = "layer"
    """An image layer that is no image's top layer."""

    IMAGE = "image"
    """An image: its top layer."""

    INIT = "init"
    """What Docker puts between an image and a container."""

    CONTAINER = "container"
    """A container's own layer, which it writes to."""

    VOLUME = "volume"
    """An LVM thin volume."""


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """One name of a device; a device may have several.

    Attributes:
        device_id: the id by which the pool knows it.
        kind: what it is.
        name: how it is shown: `guestbook:v1`, `web`, `vg/root`.
        aliases: other exact names: `guestbook` for `guestbook:latest`, `/web`, an LV's uuid.
        ids: hexadecimal ids, in full, that any beginning finds: image, chain, cache or container.
        size: in bytes; None if the source does not say.
        transaction_id: the pool's when it was created; None if the source does not say.
        is_deleted: the source says that it was deleted, or was about to be.
        origin: device id of the device that it is a snapshot of; None if unknown or none.
    """

    device_id: DeviceId
    kind: NameKind
    name: str
    aliases: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    size: int | None = None
    transaction_id: int | None = None
    is_deleted: bool = False
    origin: DeviceId | None = None

    def __str__(self) -> str:
        """Say who it is, for lists of candidates."""
        return f"{self.kind.value} {self.name} (device {self.device_id})"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Names from one source, best name of a device first.

    Attributes:
        source: where they come from, for messages: a directory, a file.
        devices: all names.
        transaction_id: the pool's, as the source last knew it; None if it does not say.
        data_block_sectors: the pool's, as the source knows it; None if it does not say.
        notes: what could not be read or is odd, one line each.
        changing: the device that the source last created or deleted; None if it does not say.
    """

    source: str
    devices: tuple[NamedDevice, ...]
    transaction_id: int | None = None
    data_block_sectors: int | None = None
    notes: tuple[str, ...] = ()
    changing: DeviceId | None = None

    def names(self) -> dict[DeviceId, str]:
        """Return the best name of each device that has one."""
        best: dict[DeviceId, str] = {}
        for device in self.devices:
            best.setdefault(device.device_id, device.name)
        return best


def find(catalogues: Sequence[Catalogue], text: str) -> NamedDevice:
    """Return whom `text` names: exactly if anything is called so, else by the beginning of an id.

    Raises:
        NotThereError: nobody, or several devices, which the message lists.
    """
    named = [device for catalogue in catalogues for device in catalogue.devices]
    found = [device for device in named if text == device.name or text in device.aliases]
    beginning = text.removeprefix("sha256:")
    if not found and beginning:
        found = [
            device for device in named if any(each.startswith(beginning) for each in device.ids)
        ]
    if not found:
        sources = ", ".join(catalogue.source for catalogue in catalogues)
        raise NotThereError(f"no device is called {text!r} in {sources}")
    if len({device.device_id for device in found}) > 1:
        listed = ", ".join(str(device) for device in found[:_LISTED_AT_MOST])
        more = ", …" if len(found) > _LISTED_AT_MOST else ""
        raise NotThereError(f"{text!r} may be {listed}{more}; say more of it, or the device id")
    return found[0]
