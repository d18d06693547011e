"""What commands that write images take, and how they open the volumes of layers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.file_options import VolumeChoice, opened_device
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.files.file_system import Inode
    from thinmeta.images.chosen_image import ChosenImage, ImageLayer
    from thinmeta.images.layer_tar import LayerVolume
    from thinmeta.images.saved_images import SavedImage
    from thinmeta.images.tree_layers import LostFile
    from thinmeta.model.pool import Pool
    from thinmeta.model.state import AnyState
    from thinmeta.names.docker.root import DockerRoot
    from thinmeta.units import DeviceId

_Function = TypeVar("_Function", bound=Callable[..., Any])


class ProofChoice(NamedTuple):
    """What the command line asks of layers.

    Attributes:
        unproven: one that is not what its hash says is written, too, as another.
        search_seconds: how long to look for what makes a layer of its files what it was.
    """

    unproven: bool
    search_seconds: float


def proof_options(function: _Function) -> _Function:
    """Add `--unproven` and `--search-seconds`; they arrive as a `ProofChoice`, `proof`."""

    @wraps(function)
    def collected(*args: Any, unproven: bool, search_seconds: float, **others: Any) -> Any:
        return function(*args, proof=ProofChoice(unproven, search_seconds), **others)

    for decorate in (
        click.option(
            "--search-seconds",
            type=click.FloatRange(min=0),
            default=10,
            show_default=True,
            metavar="N",
            help="Of a layer whose tar-split is missing, look so long for the time at which it "
            "was made.",
        ),
        click.option(
            "--unproven",
            is_flag=True,
            help="Write a layer that is not what its hash says, too, as another one.",
        ),
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


def docker_root_of(place: VolumeChoice, pool: "Pool", what: str) -> "DockerRoot":
    """Return Docker's root.

    Args:
        place: what the command line says.
        pool: the pool.
        what: is there, for the message.

    Raises:
        UsageError: nobody says where it is.
    """
    docker = place.choice.names.docker(pool)
    if docker is None:
        raise click.UsageError(f"{what} are Docker's: --docker-root says where its files are")
    return docker


OnLost = Callable[[str, Iterable[bytes] | None], None]
"""Is told, in words, of what is lost; and as objects of what is of one file."""


class ImageVolumes:
    """The volumes of images and containers, and images that are made of them."""

    def __init__(
        self,
        place: VolumeChoice,
        pool: "Pool",
        docker: "DockerRoot",
        report: DamageReport,
        state: "AnyState | None" = None,
    ) -> None:
        """Open nothing yet.

        Args:
            place: where they are.
            pool: the pool.
            docker: what says which device is whose.
            report: the policy of the command.
            state: of the pool, in which they are read; None is the one that was opened.
        """
        self._place = place
        self._pool = pool
        self._docker = docker
        self._report = report
        self._state = state

    def opened(self, device_id: "DeviceId") -> AbstractContextManager[VolumeFiles]:
        """Open the files of a device; see `opened_device`."""
        chosen = self._place.device(self._pool, device_id, self._state)
        return opened_device(self._place, self._pool, chosen, self._report)

    @contextmanager
    def images(
        self, chosen: "list[ChosenImage]", proof: ProofChoice, lose: OnLost
    ) -> "Iterator[list[SavedImage]]":
        """Make images that can be written of those that were chosen.

        Args:
            chosen: each of them once.
            proof: what is asked of their layers.
            lose: is told what of them is not what it was; of a file as objects, too.

        Raises:
            UnprovenLayerError: a layer turned out to be another, now or when it is written.
            InputError: one cannot be read at all.
        """
        from thinmeta.formats.file_report import lost_file_objects, wrong_file_objects
        from thinmeta.images.remade_images import ImageMaker, Proof
        from thinmeta.images.saved_layers import UnprovenLayerError

        needed = Proof(is_needed=not proof.unproven, search_seconds=proof.search_seconds)

        def lose_file(layer: str, lost: "LostFile") -> None:
            lose(f"{layer}: {lost}", lost_file_objects(layer, lost))

        def lose_layer(what: str) -> None:
            lose(what, None)

        hooks = self._report.warn, lose_layer, lose_file
        maker = ImageMaker(self._layer, self._inspect, needed, *hooks)
        try:
            yield [maker.image(image) for image in chosen]
        except UnprovenLayerError as error:
            if self._report.is_json:
                self._report.say_objects(wrong_file_objects(error.wrong_files))
            what = "--unproven writes it as another layer, of an image with another id"
            raise UnprovenLayerError(f"{error}; {what}") from error

    @contextmanager
    def _layer(self, layer: "ImageLayer") -> "Iterator[LayerVolume]":
        from thinmeta.images.layer_tar import LayerVolume

        with self.opened(layer.device_id) as volume:
            yield LayerVolume(volume.opened, rootfs_of(volume, layer.device_id))

    def _inspect(self, layer: "ImageLayer") -> None:
        self.refuse_other_device(layer.device_id)

    def refuse_other_device(self, device_id: "DeviceId") -> None:
        """Refuse a device whose id is that of another device by now; see `presence`."""
        from thinmeta.formats.printable import command_text
        from thinmeta.names.docker.devices import named
        from thinmeta.names.presence import refuse_other_device

        device = self._docker.device(device_id)
        words = self._place.choice.words(self._pool.source.device.name)
        scan = command_text("scan", *words)
        for name in named(device, None)[:1] if device else ():
            refuse_other_device(self._pool, name, scan)


def rootfs_of(volume: VolumeFiles, device_id: "DeviceId") -> "Inode":
    """Return the directory in which Docker has the files of a device.

    Raises:
        InputError: there is none, or nobody can tell.
    """
    from thinmeta.errors import InputError
    from thinmeta.files.file_system import FileError

    try:
        root = volume.docker_root()
    except FileError as error:
        raise InputError(f"device {device_id}: {error}") from error
    if root is None:
        raise InputError(f"device {device_id}: has no rootfs, as Docker's have")
    return root
