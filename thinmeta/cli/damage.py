"""What damage does to a command: it ends it, or with `--salvage` is said and read past."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from thinmeta.cli.ending import say
from thinmeta.cli.salvage_options import Salvage
from thinmeta.errors import Damage, DamagedMetadataError, DamageKind, SalvagedError, raise_damage
from thinmeta.formats.printable import printable

if TYPE_CHECKING:
    from thinmeta.analyse.recover.from_below import Rebuilt
    from thinmeta.cli.progress import Progress
    from thinmeta.files.opened_files import OpenedFiles
    from thinmeta.model.device_spec import ChosenDevice
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool


class DamageReport:
    """The policy of commands that stop where mappings are lost.

    Attributes:
        incomplete: the first damage by which the output misses something although
            the reading went on.
        is_json: what is said are objects, a line each.
        takes_likely: whether what is only likely is taken for what is lost.
    """

    takes_likely = False

    def __init__(self, *, quiet: bool = False, is_json: bool = False) -> None:
        """Report nothing yet."""
        self.incomplete: Damage | None = None
        self.is_json = is_json
        self._quiet = quiet
        self._told_before: set[str] = set()
        self._cost: str | None = None

    def __call__(self, damage: Damage) -> None:
        """Say what is wrong; raise where the reading cannot go on.

        Raises:
            DamagedMetadataError: mappings are lost from here on.
        """
        raise_damage(damage)
        if damage.kind is DamageKind.DEVICE_IDS and self.incomplete is None:
            self.incomplete = damage  # the last word, see `finish`
        else:
            self.warn(str(damage))

    def warn(self, text: str) -> None:
        """Say something that is not the end, once, unless it was to be quiet."""
        if text not in self._told_before:
            self._told_before.add(text)
            self.warn_again(text)

    def warn_again(self, text: str) -> None:
        """Say something that is not the end, as often as it is met; nothing of it is kept."""
        if self._quiet:
            return
        if self.is_json:
            from thinmeta.formats.file_report import warning_object

            self.say_objects([warning_object(text)])
        else:
            say(f"Warning: {printable(text)}")

    def show(self, lines: Iterable[str]) -> None:
        """Say lines that warn of nothing, unless it was to be quiet."""
        for line in () if self._quiet else lines:
            say(line)

    def note_files(self, opened: "OpenedFiles") -> None:
        """Say once what whoever reads files of a volume should know."""
        notes = opened.notes
        if self.is_json:
            from thinmeta.formats.file_report import journal_objects

            notes = opened.about_others
            if opened.source.name not in self._told_before:
                self._told_before.add(opened.source.name)
                self.say_objects(journal_objects(opened))
        for note in notes:
            self.warn(note)

    def say_objects(self, objects: Iterable[bytes]) -> None:
        """Say objects on standard error, a line each."""
        for line in objects:
            say(line.decode().rstrip("\n"))

    def warn_of(self, pool: "Pool") -> None:
        """Say what was odd about opening `pool`, and what no pool can be."""
        from thinmeta.units import DATA_BLOCK_SECTORS, impossible_block_size

        name, sectors = pool.source.device.name, pool.superblock.data_block_sectors
        for note in pool.source.device.notes:
            self.warn(note)
        is_known = sectors or pool.superblock_damage is None
        if is_known and sectors not in DATA_BLOCK_SECTORS:
            self.warn(f"{name}: {impossible_block_size(sectors)}")

    def warn_of_time(self, pool: "Pool") -> None:
        """Say that the pool's time has gone past what a mapping can hold."""
        from thinmeta.schemas.block_time import impossible_time

        if odd := impossible_time(pool.live_superblock.time):
            self.warn(f"{pool.source.device.name}: {odd}")

    def prepared(
        self,
        pool: "Pool",
        progress: "Progress",  # noqa: ARG002  # for who looks for damage first
        selected: frozenset[int] | None = None,  # noqa: ARG002
        found: "Rebuilt | None" = None,  # noqa: ARG002
    ) -> "tuple[Pool, Losses | None]":
        """Return the pool to read, and what is lost of it, None where nobody looked.

        Here it is the pool as it is, for damage is told when it is met.

        Args:
            pool: in the state to read.
            progress: is shown.
            selected: ids of the devices to look at; None is all.
            found: the pool with what is lost of it put together, where that was done already.
        """
        return pool, None

    def with_lost_lists(self, pool: "Pool") -> "Pool":
        """Return the pool in which devices are found: here as it is; see `prepared`."""
        return pool

    def prepared_volume(self, chosen: "ChosenDevice") -> "tuple[ChosenDevice, Losses | None]":
        """Return a device with all that it maps, and what is lost of it; see `prepared`.

        Unlike what `prepared_devices` returns, it has mappings past the data device's end.
        """
        return chosen, None

    def prepared_devices(
        self, *devices: "ChosenDevice"
    ) -> "tuple[list[ChosenDevice], Losses | None]":
        """Return the devices to read, and what is lost of them; see `prepared`."""
        return list(devices), None

    def costs(self, what: str) -> None:
        """Take note of what new metadata lacks: the first is the last word, but for damage."""
        self._cost = self._cost or what

    def fail_for(self, damage: Damage, name: str) -> NoReturn:  # noqa: ARG002  # for who salvages
        """Fail for damage that hides a part of an answer.

        Raises:
            DamagedMetadataError: always.
        """
        raise DamagedMetadataError(damage)

    def finish(self) -> None:
        """Fail if the output misses something.

        Raises:
            DamagedMetadataError: it does.
            SalvagedError: it was made all the same, and lacks something.
        """
        if self.incomplete is not None:
            raise DamagedMetadataError(self.incomplete)
        if self._cost is not None:
            raise SalvagedError(self._cost)


class SalvageReport(DamageReport):
    """The policy of commands that go on past any damage.

    What is lost is found out, and told, before anything is printed.
    """

    def __init__(self, *, likely: bool = False, quiet: bool = False, is_json: bool = False) -> None:
        """Know of no damage yet; take what is `likely`, too, or only what is proven."""
        super().__init__(quiet=quiet, is_json=is_json)
        self.takes_likely = likely
        self._name = ""
        self._losses: list[Losses] = []
        self._known: set[int] = set()
        self._disagreements: set[Damage] = set()
        self._met_later: Damage | None = None
        self._rebuilt: tuple[Pool, Rebuilt] | None = None

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
        self,
        pool: "Pool",
        progress: "Progress",
        selected: frozenset[int] | None = None,
        found: "Rebuilt | None" = None,
    ) -> "tuple[Pool, Losses]":
        """Tell what is lost of a pool, or of some devices; return what is left, and that."""
        from thinmeta.analyse.recover.salvaging import pool_to_salvage
        from thinmeta.model.what_is_left import salvaged

        with progress:
            pool, losses = pool_to_salvage(
                pool, selected, progress.advance, found, likely=self.takes_likely
            )
        self._tell(pool, losses)
        return salvaged(pool, losses, self), losses

    def prepared_volume(self, chosen: "ChosenDevice") -> "tuple[ChosenDevice, Losses]":
        """Tell what is lost of a device; return it as it is to be read, and that."""
        from thinmeta.analyse.recover.salvaging import device_to_salvage

        device, losses = device_to_salvage(
            chosen, self._found_again(chosen.pool), likely=self.takes_likely
        )
        self._tell(device.pool, losses)
        return device, losses

    def with_lost_lists(self, pool: "Pool") -> "Pool":
        """Return a pool whose devices are listed, where that list was lost and can be proven."""
        return self._found_again(pool).pool

    def _found_again(self, pool: "Pool") -> "Rebuilt":
        """Return the pool with lost nodes; it is the same for each of its devices."""
        from thinmeta.analyse.recover.from_below import rebuilt_where_lost

        if self._rebuilt is None or self._rebuilt[0] is not pool:
            self._rebuilt = pool, rebuilt_where_lost(pool, likely=self.takes_likely)
        return self._rebuilt[1]

    def prepared_devices(self, *devices: "ChosenDevice") -> "tuple[list[ChosenDevice], Losses]":
        """Tell what is lost of some devices; return what is left of them, and that."""
        from thinmeta.model.losses import Losses

        found = [self.prepared_volume(each) for each in devices]
        left = [each._replace(pool=each.pool.for_salvage(self)) for each, _ in found]
        return left, Losses.joined([losses for _, losses in found])

    def fail_for(self, damage: Damage, name: str) -> NoReturn:
        """Fail for damage that hides a part of an answer.

        Raises:
            SalvagedError: always.
        """
        raise SalvagedError(f"{name}: {damage}")

    def finish(self) -> None:
        """Fail if anything is lost, or a repair costs something.

        Raises:
            SalvagedError: something is.
        """
        if any(not losses.is_complete for losses in self._losses):
            from thinmeta.formats.losses import last_word
            from thinmeta.model.losses import Losses

            raise SalvagedError(f"{self._name}: {last_word(Losses.joined(self._losses))}")
        if self._met_later is not None:
            raise SalvagedError(f"{self._name}: {self._met_later}")
        if self._cost is not None:
            raise SalvagedError(self._cost)

    def _tell(self, pool: "Pool", losses: "Losses") -> None:
        from thinmeta.formats.losses import losses_json, losses_text

        self._name = pool.source.device.name
        self._losses.append(losses)
        self._known |= losses.blocks | {at.block for at in losses.trees if at.block is not None}
        self._disagreements.update(losses.disagreements)
        if self.is_json:
            self.say_objects(losses_json(losses))
            return
        for line in losses_text(losses):
            self.warn(line)


def report_for(*, salvage: Salvage, quiet: bool, is_json: bool = False) -> DamageReport:
    """Return the policy that the command line asks for."""
    if salvage is Salvage.NO:
        return DamageReport(quiet=quiet, is_json=is_json)
    return SalvageReport(likely=salvage is Salvage.LIKELY, quiet=quiet, is_json=is_json)


def lost_lines(losses: "Losses | None") -> Iterable[bytes]:
    """Return a JSON object for each thing that is lost; none where nobody looked."""
    if losses is None:
        return ()
    from thinmeta.formats.losses import losses_json

    return losses_json(losses)
