"""Tables for people: columns that stand below each other, and trees drawn with branches."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Node = TypeVar("_Node")


def aligned(rows: Sequence[Sequence[str]], left: frozenset[int]) -> Iterator[str]:
    """Return a line a row, its cells as wide as their columns.

    Args:
        rows: of equal length.
        left: the columns whose cells begin at the left; the others end at the right.

    >>> list(aligned([("DEV", "SIZE", ""), ("1", "64 KiB", "old")], left=frozenset({0, 2})))
    ['DEV    SIZE     ', '1    64 KiB  old']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    line = "  ".join(
        f"%{'-' if place in left else ''}{width}s" for place, width in enumerate(widths)
    )
    for row in rows:
        yield line % tuple(row)


def drawn(
    roots: Sequence[_Node],
    children_of: Callable[[_Node], Sequence[_Node]],
    *,
    is_straight: bool = False,
) -> Iterator[tuple[str, _Node]]:
    """Return each node of a forest with the branch that it hangs on, as deep as it may be.

    Args:
        roots: what hangs on nothing.
        children_of: what hangs on a node, in order.
        is_straight: an only child stands in the branch of its parent.

    >>> forest = {1: [2, 3], 2: [4]}
    >>> [f"{branch}{node}" for branch, node in drawn([1], lambda node: forest.get(node, []))]
    ['1', '├─ 2', '│  └─ 4', '└─ 3']
    """
    stack = [(node, "", "") for node in reversed(roots)]
    while stack:
        node, branch, below = stack.pop()
        yield branch, node
        children = children_of(node)
        if not children:
            continue
        own, under = ("", "") if is_straight and len(children) == 1 else ("└─ ", "   ")
        for child in reversed(children):
            stack.append((child, below + own, below + under))
            own, under = "├─ ", "│  "
