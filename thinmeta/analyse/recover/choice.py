"""The state that a repair goes on with, and what there is to say of it."""

from dataclasses import dataclass
from typing import NamedTuple

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.from_below import Rebuilt
from thinmeta.analyse.recover.passed_over import PassedOver, left_out, passed_over
from thinmeta.analyse.recover.scan import Scan
from thinmeta.analyse.recover.stand_ins import StandIn
from thinmeta.model.pool import Pool
from thinmeta.model.state import Roots
from thinmeta.units import MetadataBlock


class LiveLeft(NamedTuple):
    """What there is of the superblock's state, if another one has more.

    Attributes:
        nr_devices: of which anything is left, or that have no mappings.
        nr_mappings: that are left, or were put together.
        nr_missing: of those that the details count.
    """

    nr_devices: int
    nr_mappings: int
    nr_missing: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The state to go on with.

    Attributes:
        pool: in that state. If its superblock is not the one on disk, it says what it
            has to; its time and transaction id are then the least that they can be.
        roots: of the state; None if it is the superblock's, and both its trees are sound.
        candidate: what is left of it, as the scan found; None likewise.
        scan: of all that is left; None if nobody had to look.
        rebuilt: the superblock's state with what can be put together of it, where that was done.
        stand_ins: devices of it that are of older states.
        damaged: the pool before that, likewise.
        is_asked: whether somebody asked for just this state.
        live_left: what the superblock's state has, if it was weighed and is not chosen.
    """

    pool: Pool
    roots: Roots | None = None
    candidate: Candidate | None = None
    scan: Scan | None = None
    rebuilt: Rebuilt | None = None
    stand_ins: tuple[StandIn, ...] = ()
    damaged: Pool | None = None
    is_asked: bool = False
    live_left: LiveLeft | None = None

    def passed_over(self) -> PassedOver | None:
        """Return a state that may be newer and has what this one has not, if there is one."""
        if self.scan is None or self.candidate is None:
            return None
        if self.is_asked:
            return left_out(self.scan, self.candidate)
        found = passed_over(self.pool.source, self.scan, self.candidate)
        live = self.scan.live_superblock
        is_chosen = live is None or live.data_mapping_root == self.candidate.mapping_root
        return found if found is not None or is_chosen else PassedOver(None, ())

    @property
    def lost_details_root(self) -> MetadataBlock | None:
        """The superblock's details root, if an older state's details stand in for its own."""
        live = self.scan.live_superblock if self.scan is not None else None
        if live is None or self.candidate is None or self.candidate.details_root is None:
            return None
        if live.data_mapping_root != self.candidate.mapping_root:
            return None
        is_other = live.device_details_root != self.candidate.details_root
        return live.device_details_root if is_other else None
