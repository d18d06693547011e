"""Work for threads: compression, and reads and writes, for which Python's lock is not needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], nr_threads: int
) -> Iterator[_Result]:
    """Return what `work` makes of each item, in order, while the next ones are worked on.

    There are never more than one item a thread, and one, in memory.

    >>> list(in_threads(str.upper, ["a", "b", "c"], 2))
    ['A', 'B', 'C']
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(nr_threads) as threads:
        begun: deque[Future[_Result]] = deque()
        for item in items:
            begun.append(threads.submit(work, item))
            if len(begun) > nr_threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
