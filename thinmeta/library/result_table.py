"""Results as columns: arrays of one length and signed numbers, whole or in bounded pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage, OnDamage
from thinmeta.units import DeviceId
from thinmeta.walk.columnar import Columnar, Columns

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_LIMIT = np.uint64(1 << 63)


class Table(Columnar):
    """A base for results: each field is an array of shape `(n,)`, in one order."""

    __slots__ = ()

    def columns(self) -> Columns:
        """Return the columns by name, for `pandas.DataFrame`, `polars.from_dict`, `pyarrow.table`.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a03-one-thin-sequential-64k/meta.bin.xz") as pool:
        ...     columns = pool.device(1).runs().columns()
        >>> {name: column.tolist() for name, column in columns.items()}
        {'origin_begin': [0], 'data_begin': [0], 'length': [1536], 'time': [0]}
        """
        return {name: getattr(self, name) for name in self._names()}

    @classmethod
    def empty(cls) -> Self:
        """Return no rows, of columns that are all int64.

        >>> import thinmeta
        >>> len(thinmeta.FreeTable.empty())
        0
        """
        made: Any = cls
        return cls(*(np.empty(0, dtype=np.int64) for _ in fields(made)))


Rows = TypeVar("Rows", bound=Table)


@dataclass(frozen=True, slots=True)
class TableStream(Generic[Rows]):
    """A result that may be large: read anew each time it is asked for.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     runs = pool.device(1).runs()
    ...     print([len(piece) for piece in runs.chunks()], len(runs.read()))
    [2, 1] 3
    """

    _empty: Callable[[], Rows]
    _pieces: Callable[[], Iterator[Rows]]

    def chunks(self) -> Iterator[Rows]:
        """Return it in pieces of bounded size, in order.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(sum(int(piece.length.sum()) for piece in pool.device(1).runs().chunks()))
        577

        Raises:
            DamagedMetadataError: what is needed is damaged, and the pool's `on_damage`
                raises; what precedes it has been returned.
        """
        return self._pieces()

    def read(self) -> Rows:
        """Return all of it at once.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.device(1).runs().read().length)
        [  2  96 479]
        """
        return self._empty().joined([self._empty(), *self.chunks()])

    def columns(self) -> Columns:
        """Return the columns of all of it; see `Table.columns`.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.rmap(64, 66).columns()["device_id"])
        [1 7]
        """
        return self.read().columns()


def signed(
    columns: dict[str, npt.NDArray[np.uint64]],
    on_damage: OnDamage,
    *,
    begin: str | None = None,
    device_id: DeviceId | None = None,
) -> Iterator[tuple[Flags, dict[str, Numbers]]]:
    """Return columns as int64, without rows that have no place there, which are damage.

    The rows that fit come first: whoever returns pieces has returned them before it raises.

    >>> columns = {"begin": np.array([5, 2**63 - 2], np.uint64), "length": np.array([1, 2], "u8")}
    >>> told = []
    >>> for _, rows in signed(columns, told.append, begin="begin"):
    ...     print(rows["begin"].tolist(), len(told))
    [5] 0
    >>> print(told[0].first_key, told[0].what)
    9223372036854775806 ends at or above 2^63, where no device has blocks

    Args:
        columns: dtype uint64, of one length.
        on_damage: told of the rows that do not fit.
        begin: the column to which `length` is added, for where a row ends.
        device_id: whose they are.
    """
    fits = np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
    for column in columns.values():
        fits &= column < _LIMIT
    if begin is not None:
        fits &= columns[begin] + columns["length"] < _LIMIT
    whole = bool(fits.all())
    yield (
        fits,
        {name: (each if whole else each[fits]).view(np.int64) for name, each in columns.items()},
    )
    name = begin or next(iter(columns))
    for place in np.flatnonzero(~fits).tolist():
        first = int(columns[name][place])
        length = int(columns["length"][place]) if begin is not None else 1
        on_damage(
            Damage(
                "ends at or above 2^63, where no device has blocks"
                if begin is not None
                else "has numbers of 2^63 or more, which no pool has",
                device_id=device_id,
                first_key=first,
                last_key=min(first + length - 1, (1 << 64) - 1),
                key_name=name.replace("_begin", " block"),
            )
        )
