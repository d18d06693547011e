"""Print how much of what hung below lost nodes is proven, for each image of `fixtures/`.

The table in docs/from-below.md is made of this. It fails if anything that is proven is wrong.
To run it: `PYTHONPATH=. .venv/bin/python tools/rebuilt_share.py`.
"""

import sys
from collections.abc import Iterable

from tests.analyse.recover.lost_nodes_of import LosingPool
from tests.cases import image_names

_MOST_SETS = 120
"""Pairs of lost nodes that are tried of each image."""


def main() -> None:
    """Print a line an image: nodes, share proven of one lost node, of two, of the device list."""
    out = sys.stdout
    out.write(f"{'image':<56} {'nodes':>5} {'one':>7} {'two':>7} {'devices':>8}\n")
    for case, image in image_names():
        pool = LosingPool.of(case, image)
        one = _share(pool, ((block,) for block in pool.inner))
        two = _share(pool, pool.flat_sets(2, _MOST_SETS) if len(pool.inner) > 1 else ())
        nr_devices = len(pool.rebuilt(pool.device_list).roots)
        of_devices = f"{nr_devices}/{len(pool.device_roots)}"
        name = f"{case} {image}"
        out.write(f"{name:<56} {len(pool.inner):>5} {one:>7} {two:>7} {of_devices:>8}\n")
        out.flush()


def _share(pool: LosingPool, sets: Iterable[tuple[int, ...]]) -> str:
    """Return how much of the mappings is proven, all sets of lost nodes together."""
    outcomes = [pool.loses(*lost) for lost in sets]
    total = sum(each.proven + each.open for each in outcomes)
    return f"{100 * sum(each.proven for each in outcomes) / total:.1f} %" if total else "-"


if __name__ == "__main__":
    main()
