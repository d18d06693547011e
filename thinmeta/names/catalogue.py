"""What names devices: a list of who is who, whoever wrote it down."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from thinmeta.errors import NotThereError
from thinmeta.model.device_spec import ExternalOrigin, typed_name
from thinmeta.units import DeviceId

_LISTED_AT_MOST = 10
_NOTES_AT_MOST = 3


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


class NamedDevice(NamedTuple):
    """One name of a device; a device may have several.

    Attributes:
        device_id: the id by which the pool knows it.
        kind: what it is.
        name: how it is shown: `guestbook:v1`, `web`, `vg/root`.
        aliases: other exact names: `guestbook` for `guestbook:latest`, `/web`, an LV's uuid.
        ids: hexadecimal ids, in full, that any beginning finds: image, chain, cache or container.
        size: in bytes; None if the source does not say.
        transaction_id: the pool's when it was created; None if the source does not say.
        version: of LVM's text, the last that has it, where the one that counts has it not.
        is_deleted: the source says that it was deleted, or was about to be.
        is_later: only a later version of the source has it than the one that counts.
        origin: device id of the device that it is a snapshot of; None if unknown or none.
        external_origin: the volume outside of the pool that it reads where it has no block
            of its own; None if it has none.
    """

    device_id: DeviceId
    kind: NameKind
    name: str
    aliases: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    size: int | None = None
    transaction_id: int | None = None
    version: int | None = None
    is_deleted: bool = False
    is_later: bool = False
    origin: DeviceId | None = None
    external_origin: ExternalOrigin | None = None

    def fits(self, transaction_id: int | None, *, is_live: bool) -> bool:
        """Tell whether it names the device that has its id in a state of the pool.

        Ids are given again, but a device keeps the transaction that it was created in.

        Args:
            transaction_id: of the device in that state; None if its details are not known.
            is_live: the state is the live one, which is what the source is about.
        """
        if transaction_id is not None and self.transaction_id is not None:
            return self.transaction_id == transaction_id
        return is_live and self.is_current

    @property
    def is_current(self) -> bool:
        """Whether it is a name of what counts now."""
        return not self.is_deleted and not self.is_later

    def is_begun_by(self, beginning: str) -> bool:
        """Tell whether one of its ids begins so."""
        return any(each.startswith(beginning) for each in self.ids)

    def __str__(self) -> str:
        """Say who it is, for lists of candidates."""
        return f"{self.kind.value} {self.name} (device {self.device_id})"


class Unidentified(NamedTuple):
    """A name of which the source does not say which device it is.

    Attributes:
        names: all that it is called.
        ids: hexadecimal ids, in full, that any beginning finds.
        what: is known, in one line.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    what: str


class Catalogue(NamedTuple):
    """Names from one source, best name of a device first.

    Attributes:
        source: where they come from, for messages: a directory, a file.
        devices: all names.
        transaction_id: the pool's, as the source last knew it; None if it does not say.
        data_block_sectors: the pool's, as the source knows it; None if it does not say.
        notes: what could not be read or is odd, one line each.
        changing: the device that the source last created or deleted; None if it does not say.
        unidentified: names that stand for no device id.
        lvm_pool: the pool's volume group and logical volume, where the source is LVM's text
            and LVM waits to tell the pool nothing.
    """

    source: str
    devices: tuple[NamedDevice, ...]
    transaction_id: int | None = None
    data_block_sectors: int | None = None
    notes: tuple[str, ...] = ()
    changing: DeviceId | None = None
    unidentified: tuple[Unidentified, ...] = ()
    lvm_pool: tuple[str, str] | None = None


def known_as(
    catalogues: Iterable[Catalogue], device_id: int, transaction_id: int | None, *, is_live: bool
) -> list[NamedDevice]:
    """Return the names of a device in a state of the pool, best first; see `NamedDevice.fits`."""
    return [
        named
        for catalogue in catalogues
        for named in catalogue.devices
        if named.device_id == device_id and named.fits(transaction_id, is_live=is_live)
    ]


def best_names(
    catalogues: Sequence[Catalogue], devices: Mapping[DeviceId, int], *, is_live: bool
) -> dict[DeviceId, str]:
    """Return the best name of each device that has one.

    Args:
        catalogues: the sources, the best first.
        devices: transaction id of each device by its id, in the state that is read.
        is_live: that state is the live one.
    """
    best: dict[DeviceId, str] = {}
    for named in (named for catalogue in catalogues for named in catalogue.devices):
        transaction_id = devices.get(named.device_id)
        if transaction_id is not None and named.fits(transaction_id, is_live=is_live):
            best.setdefault(named.device_id, named.name)
    return best


def find(catalogues: Sequence[Catalogue], text: str) -> NamedDevice:
    """Return whom `text` names.

    What is shown as a name goes first, then what else somebody is called exactly, then the
    beginning of an id; and what is there goes before what was removed.

    Raises:
        NotThereError: nobody, or several devices, which the message lists.
    """
    named = [device for catalogue in catalogues for device in catalogue.devices]
    beginning = text.removeprefix("sha256:")
    shown = typed_name(text)
    found = (
        [device for device in named if device.name in (text, shown)]
        or [device for device in named if text in device.aliases]
        or [device for device in named if beginning and device.is_begun_by(beginning)]
    )
    if not found:
        _raise_unidentified(catalogues, text, beginning)
        sources = ", ".join(catalogue.source for catalogue in catalogues)
        raise NotThereError(f"no device is called {text!r} in {sources}{_odd(catalogues)}")
    found = [device for device in found if not device.is_deleted] or found
    if len({device.device_id for device in found}) > 1:
        listed = ", ".join(str(device) for device in found[:_LISTED_AT_MOST])
        more = ", …" if len(found) > _LISTED_AT_MOST else ""
        raise NotThereError(f"{text!r} may be {listed}{more}; say more of it, or the device id")
    return found[0]


def _odd(catalogues: Iterable[Catalogue]) -> str:
    """Return what the sources miss, for that may be why a name is not found."""
    notes = [note for catalogue in catalogues for note in catalogue.notes]
    more = [f"and {len(notes) - _NOTES_AT_MOST} more"] if len(notes) > _NOTES_AT_MOST else []
    return "".join(f"; {note}" for note in (*notes[:_NOTES_AT_MOST], *more))


def _raise_unidentified(catalogues: Iterable[Catalogue], text: str, beginning: str) -> None:
    for catalogue in catalogues:
        for each in catalogue.unidentified:
            if text in each.names or (
                beginning and any(one.startswith(beginning) for one in each.ids)
            ):
                raise NotThereError(f"{catalogue.source}: {each.what}")
