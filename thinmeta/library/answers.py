"""The questions of the commands, answered as tables of int64."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from thinmeta.analyse.diff import Diff, Summary
from thinmeta.analyse.free_ranges import free_ranges
from thinmeta.analyse.freed import FreedTogether, freed_together
from thinmeta.analyse.rmap import Region, rmap
from thinmeta.analyse.usage import bounded, usage
from thinmeta.errors import Damage, DamageKind, raise_damage
from thinmeta.library.opened_device import Device
from thinmeta.library.result_table import TableStream, signed
from thinmeta.library.results import DiffTable, FreeTable, SharerTable, UsageTable
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.walk.changes import Change

_MOST = 2**63 - 1


def usage_table(pool: Pool, losses: Losses | None) -> UsageTable:
    """Return what each device maps; see `OpenPool.usage`."""
    lost: list[Damage] = []

    def tell(damage: Damage) -> None:
        pool.on_damage(damage)
        if damage.kind is DamageKind.BLOCK:
            lost.append(damage)

    found = usage(replace(pool, on_damage=tell))
    if losses is not None:
        found = bounded(pool, found, losses)
    ids = found.devices.ids
    columns = {
        "device_id": ids,
        "mapped": found.mapped,
        # A bound that is no number of blocks any more.
        "exclusive": np.minimum(found.exclusive, _MOST).astype(np.uint64),
        "shared": found.shared.astype(np.uint64),
        "highest": found.highest,
        "new": found.new,
        "inherited": found.inherited,
        "runs": found.runs,
    }
    complete, exact = found.is_complete, found.is_exact
    if losses is None:
        hit = [each.device_id for each in lost if each.device_id is not None]
        complete = found.mapped >= found.devices.details["mapped_blocks"]
        complete &= ~np.isin(ids, np.array(hit, dtype=np.uint64)) & (len(hit) == len(lost))
        exact = np.full(len(ids), bool(complete.all()) and not lost)
    parts = []
    for fits, fit in signed(columns, pool.on_damage):
        fit["highest"] = np.where(fit["mapped"] > 0, fit["highest"], -1)
        parts.append(UsageTable(**fit, is_complete=complete[fits], is_exact=exact[fits]))
    return parts[0]


@dataclass(frozen=True, slots=True)
class Difference(TableStream[DiffTable]):
    """What changed from one device to another; see `OpenPool.diff`.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     difference = pool.diff(5, 8)
    ...     for table in difference.chunks():
    ...         print([thinmeta.Change(each).name for each in table.change], table.length)
    ['CHANGED'] [192]
    ['REMOVED'] [448]
    """

    _diff: Diff = field(kw_only=True)

    def summary(self) -> Summary:
        """Count the blocks of each kind, and say how the two came to differ.

        After all ranges were read nothing more is.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     summary = pool.diff(5, 8).summary()
        >>> summary.changed, summary.removed, summary.relation.name
        (192, 448, 'UNRELATED')
        """
        return self._diff.summary()


def freed_of(pool: Pool, devices: Sequence[Device], losses: Losses | None) -> FreedTogether:
    """Return what is free once they are deleted; see `OpenPool.freed`."""
    group = []
    for each in devices:
        if each.device_id is None or each.chosen.pool.state != pool.state:
            raise ValueError(f"{each!r} is no device of the state that is looked at")
        group.append(each.device_id)
    [found] = freed_together(pool, [group], losses=losses)
    return found


def difference(left: Device, right: Device, *, with_same: bool) -> Difference:
    """Return what changed; see `OpenPool.diff`."""
    pool = left.chosen.pool
    diff = Diff(
        left.chosen,
        right.chosen,
        by_data=True,
        with_same=with_same,
        # Else damage ends the reading before anything could be counted wrong.
        is_complete=pool.on_damage is raise_damage
        or (left.losses().is_complete and right.losses().is_complete),
    )

    def pieces() -> Iterator[DiffTable]:
        for ranges in diff.ranges():
            columns = {
                "change": ranges.change.astype(np.uint64),
                "origin_begin": ranges.begin,
                "length": ranges.length,
                "left_data_begin": ranges.left,
                "right_data_begin": ranges.right,
            }
            for _, fit in signed(columns, pool.on_damage, begin="origin_begin"):
                change = fit["change"]
                for side, without in (("left", Change.ADDED), ("right", Change.REMOVED)):
                    is_none = (change == without) | (change == Change.UNKNOWN)
                    fit[f"{side}_data_begin"] = np.where(is_none, -1, fit[f"{side}_data_begin"])
                yield DiffTable(**fit)

    return Difference(DiffTable.empty, pieces, _diff=diff)


def sharers(pool: Pool, begin: int, end: int) -> TableStream[SharerTable]:
    """Return who maps some data blocks; see `OpenPool.rmap`."""

    def pieces() -> Iterator[SharerTable]:
        for runs in rmap(pool, [Region(begin, end)]):
            columns = {
                "data_begin": runs.data_begin,
                "length": runs.length,
                "device_id": runs.device_id,
                "origin_begin": runs.origin_begin,
            }
            for _, fit in signed(columns, pool.on_damage, begin="origin_begin"):
                yield SharerTable(**fit)

    return TableStream(SharerTable.empty, pieces)


def free(pool: Pool) -> TableStream[FreeTable]:
    """Return what nothing uses; see `OpenPool.free_ranges`."""

    def pieces() -> Iterator[FreeTable]:
        for ranges in free_ranges(pool):
            yield FreeTable(ranges[:, 0], ranges[:, 1] - ranges[:, 0])

    return TableStream(FreeTable.empty, pieces)
