"""Print how much of what hung below lost nodes is proven, and likely, for images of `fixtures/`.

The tables in docs/from-below.md are made of this. It fails if anything that is proven is wrong.
To run it: `PYTHONPATH=. .venv/bin/python tools/rebuilt_share.py`.
"""

import random
import sys
from collections.abc import Iterable

from tests.analyse.recover.lost_nodes_of import LikelyOutcome, LosingPool
from tests.cases import image_names

_MOST_SETS = 120
"""Sets of lost nodes that are tried of each image."""

_SETS = {"one": (1, 0), "two": (2, 0), "three": (3, 0), "two, a leaf": (2, 1)}
"""How many nodes are lost, and how many leaves beside."""


def main() -> None:
    """Print a line an image and number of lost nodes, and one for its list of devices."""
    out = sys.stdout
    columns = f"{'proven':>8} {'likely':>8} {'wrong':>8} {'open':>8}"
    out.write(f"{'image':<56} {'lost':<12} {'sets':>5} {columns}\n")
    for case, image in image_names():
        pool = LosingPool.of(case, image)
        name = f"{case} {image}"
        for what, (nr_nodes, nr_leaves) in _SETS.items():
            sets = list(_sets(pool, nr_nodes, nr_leaves))
            total = sum((pool.likely_loses(*lost) for lost in sets), LikelyOutcome())
            if sets:
                out.write(f"{name:<56} {what:<12} {len(sets):>5} {_shares(total)}\n")
        out.write(f"{name:<56} {'devices':<12} {1:>5} {_devices(pool)}\n")
        out.flush()


def _sets(pool: LosingPool, nr_nodes: int, nr_leaves: int) -> Iterable[tuple[int, ...]]:
    if nr_nodes == 1 and not nr_leaves:
        return ((block,) for block in pool.inner)
    if len(pool.inner) < nr_nodes:
        return ()
    rng = random.Random(2)
    flat = pool.flat_sets(nr_nodes, _MOST_SETS)
    return ((*lost, *rng.sample(pool.leaves, nr_leaves)) for lost in flat)


def _shares(total: LikelyOutcome) -> str:
    """Return the shares of all mappings that are there still, all sets of lost nodes together."""
    nr_mappings = total.proven + total.right + total.open
    numbers = (total.proven, total.right, total.wrong, total.open)
    return " ".join(f"{100 * each / max(1, nr_mappings):>6.1f} %" for each in numbers)


def _devices(pool: LosingPool) -> str:
    """Return how many devices' trees are known where the list of devices is lost."""
    found = pool.rebuilt(pool.device_list, likely=True)
    likely = {each: found.roots[each] for each in found.likely.device_ids}
    wrong = sum(
        root.block != pool.device_roots[each]
        and bool(root.nr_mappings or pool.nr_mappings(pool.device_roots[each]))
        for each, root in likely.items()
    )
    nr_open = len(pool.device_roots) - len(found.roots)
    numbers = (len(found.roots) - len(likely), len(likely) - wrong, wrong, nr_open)
    return " ".join(f"{each:>8}" for each in numbers)


if __name__ == "__main__":
    main()
