"""`--salvage`: how commands read past damage, and say what is lost."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import click
from click.decorators import FC

from thinmeta.cli.messages import DamageReport, Progress
from thinmeta.errors import Damage, DamageKind, SalvagedError

if TYPE_CHECKING:
    from thinmeta.model.device_spec import ChosenDevice
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool


def salvage_option(function: FC) -> FC:
    """Add `--salvage`, which arrives as `salvage`."""
    return click.option(
        "--salvage",
        is_flag=True,
        help="Go on past any damage, and say what is lost; exit code 6 if anything is.",
    )(function)


def report_for(*, salvage: bool, quiet: bool) -> DamageReport:
    """Return the policy that the command line asks for."""
    return SalvageReport(quiet=quiet) if salvage else DamageReport(quiet=quiet)


class SalvageReport(DamageReport):
    """The policy of commands that go on past any damage.

    What is lost is found out, and told, before anything is printed.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Know of no damage yet."""
        super().__init__(quiet=quiet)
        self._name = ""
        self._losses: list[Losses] = []
        self._known: set[int] = set()
        self._disagreements: set[Damage] = set()
        self._met_later: Damage | None = None

    def __call__(self, damage: Damage) -> None:
        """Go on; tell of what is not known yet."""
        if damage.kind is DamageKind.BLOCK and damage.block is not None:
            is_new = damage.block not in self._known
            self._known.add(damage.block)
        else:
            is_new = damage.kind is DamageKind.DEVICE_IDS and damage not in self._disagreements
            self._disagreements.add(damage)
        if is_new:
            self._met_later = self._met_later or damage
            self.warn(str(damage))

    def prepared(
        self, pool: "Pool", progress: Progress, selected: frozenset[int] | None = None
    ) -> "Pool":
        """Tell what is lost of a pool, or of some devices, and return what is left of it."""
        from thinmeta.model.losses import losses_of_pool, salvaged

        try:
            losses = losses_of_pool(pool, selected, progress.advance)
        finally:
            progress.clear()
        self._tell(pool, losses)
        return salvaged(pool, losses, self)

    def prepared_devices(self, *devices: "ChosenDevice") -> "list[ChosenDevice]":
        """Tell what is lost of some devices, and return what is left of them."""
        from thinmeta.model.losses import ExaminedTree, losses_of_trees

        left = []
        for chosen in devices:
            device = chosen.device
            tree = (
                ExaminedTree(device.device_id, chosen.mapping_root, device.mapped_blocks)
                if device is not None
                else ExaminedTree(None, chosen.mapping_root, None)
            )
            self._tell(chosen.pool, losses_of_trees(chosen.pool, [tree]))
            left.append(replace(chosen, pool=chosen.pool.for_salvage(self)))
        return left

    def losses(self) -> "Losses":
        """Return all that was found lost."""
        from thinmeta.model.losses import Losses

        return Losses.joined(self._losses)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was found lost."""
        return self.losses().is_complete

    @property
    def lost_blocks(self) -> frozenset[int]:
        """Leaves of mapping trees of which nothing is left."""
        # A block that is bad in another tree may be sound here.
        losses = self.losses()
        return losses.emptied | losses.blocks

    @property
    def sharing_is_sound(self) -> bool:
        """Whether what devices share is sound for all of them or for none."""
        return self.losses().agree

    def json_lines(self) -> Iterable[bytes]:
        """Return an object for each thing that is lost."""
        from thinmeta.formats.losses import losses_json

        return losses_json(self.losses())

    def fail_for(self, damage: Damage, name: str) -> NoReturn:
        """Fail for damage that hides a part of an answer.

        Raises:
            SalvagedError: always.
        """
        raise SalvagedError(f"{name}: {damage}")

    def finish(self) -> None:
        """Fail if anything is lost.

        Raises:
            SalvagedError: something is.
        """
        from thinmeta.formats.losses import last_word

        losses = self.losses()
        if not losses.is_complete:
            raise SalvagedError(f"{self._name}: {last_word(losses)}")
        if self._met_later is not None:
            raise SalvagedError(f"{self._name}: {self._met_later}")

    def _tell(self, pool: "Pool", losses: "Losses") -> None:
        from thinmeta.formats.losses import losses_text

        self._name = pool.source.device.name
        self._losses.append(losses)
        self._known |= losses.blocks
        self._known.update(damage.block for damage in losses.trees if damage.block is not None)
        self._disagreements.update(losses.disagreements)
        for line in losses_text(losses):
            self.warn(line)
