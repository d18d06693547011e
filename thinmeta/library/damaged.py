"""A damaged pool, and what is left of it."""

from typing import NamedTuple

from thinmeta.analyse.recover.salvaging import pool_to_salvage
from thinmeta.errors import Damage
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.model.what_is_left import salvaged


class Damaged(NamedTuple):
    """A pool of which something may be lost.

    Attributes:
        pool: as it is on its device.
        likely: take for what is lost what likely was, too, not only what is proven.
    """

    pool: Pool
    likely: bool

    def left(self) -> tuple[Pool, Losses]:
        """Return what is left, of which nothing raises, and what is not."""
        pool, losses = pool_to_salvage(self.pool, likely=self.likely)
        return salvaged(pool, losses, _go_on), losses


def _go_on(_: Damage) -> None:
    """What is lost was told before."""
