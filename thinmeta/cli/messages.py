"""What a command says on standard error besides its last word: damage and progress."""

import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from thinmeta.cli.ending import say
from thinmeta.errors import Damage, DamagedMetadataError, DamageKind, raise_damage
from thinmeta.formats.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thinmeta.model.device_spec import ChosenDevice
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool

_SILENT_SECONDS = 1.0
_REDRAW_SECONDS = 0.2


def failure(message: str, code: int) -> click.ClickException:
    """Return what ends the command with this last word and exit code."""
    error = click.ClickException(message)
    error.exit_code = int(code)  # type: ignore[misc]  # click declares a ClassVar
    return error


class DamageReport:
    """The policy of commands that stop where mappings are lost.

    Attributes:
        incomplete: the first damage by which the output misses something although
            the reading went on.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Report nothing yet."""
        self.incomplete: Damage | None = None
        self._quiet = quiet

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
        """Say something that is not the end, unless it was to be quiet."""
        if not self._quiet:
            say(f"Warning: {printable(text)}")

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
        from thinmeta.schemas import block_time

        time = pool.live_superblock.time
        if time > block_time.MAX_TIME:
            self.warn(
                f"{pool.source.device.name}: the pool's time, {time}, does not fit into the "
                "24 bits that a mapping has for it: the kernel would write the rest into the "
                "number of the data block"
            )

    def prepared(
        self,
        pool: "Pool",
        progress: "Progress",  # noqa: ARG002  # for who looks for damage first
        selected: frozenset[int] | None = None,  # noqa: ARG002
    ) -> "Pool":
        """Return the pool to read: here as it is, for damage is told when it is met."""
        return pool

    def prepared_devices(self, *devices: "ChosenDevice") -> "list[ChosenDevice]":
        """Return the devices to read: here as they are."""
        return list(devices)

    def losses(self) -> "Losses | None":
        """Return what was found lost: here nothing, for damage raises."""
        return None

    @property
    def is_complete(self) -> bool:
        """Whether nothing was found lost."""
        return True

    @property
    def lost_blocks(self) -> frozenset[int]:
        """Leaves of mapping trees of which nothing is left."""
        return frozenset()

    @property
    def sharing_is_sound(self) -> bool:
        """Whether what devices share can be listed once for all."""
        return True

    def json_lines(self) -> "Iterable[bytes]":
        """Return an object for each thing that is lost: here none, for damage raises."""
        return ()

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
        """
        if self.incomplete is not None:
            raise DamagedMetadataError(self.incomplete)


class Progress:
    """A line that counts up, on a terminal, once the work has taken a while."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Show nothing yet."""
        self._shown = not quiet and sys.stderr.isatty()
        self._next = time.monotonic() + _SILENT_SECONDS
        self._done = 0
        self._drawn = False

    def advance(self, steps: int, total: int) -> None:
        """Count `steps` more of `total`."""
        self._done += steps
        now = time.monotonic()
        if self._shown and total and now >= self._next:
            self._next = now + _REDRAW_SECONDS
            self._drawn = True
            click.echo(f"\r{min(100, 100 * self._done // total):3d}% read", nl=False, err=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)
            self._drawn = False
