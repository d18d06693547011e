"""From a mapping tree to a volume's layout."""

from collections.abc import Iterator

import numpy as np

from thinmeta.errors import OnDamage
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.forest import grow
from thinmeta.walk.nodes import MAPPINGS, Metadata
from thinmeta.walk.runs import Runs
from thinmeta.walk.stretches import Stretch, read_stretches


def mapped_runs(
    source: Metadata,
    root: MetadataBlock | None,
    device_id: DeviceId | None,
    on_damage: OnDamage,
) -> Iterator[Runs]:
    """Return the runs of a mapping tree, in bounded pieces.

    Args:
        source: where to read.
        root: of the tree; None if there is none, which maps nothing.
        device_id: whose it is, for `on_damage`; None if that is not known.
        on_damage: told of each bad node.
    """
    if root is None:
        return
    leaves = grow(source, np.array([root], dtype=np.uint64), MAPPINGS).leaves(0)
    stretch: Stretch[None] = Stretch((), leaves, device_id)
    for rows in read_stretches(source, [stretch], on_damage):
        yield rows.runs
