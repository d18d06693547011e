"""Results that are few: values one by one, and the same as columns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from thinmeta.analyse.layers import MeasuredLayer
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.names.disagreements import Disagreement
from thinmeta.walk.columnar import Columns, flags, numbers, texts

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ResultList(Sequence[Row], Generic[Row]):
    """Values in order, a sequence; `columns()` has them as arrays.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     states = pool.states()
    >>> states[0].is_live, [state.nr_devices for state in states[:3]]
    (True, [5, 7, 6])
    """

    _rows: tuple[Row, ...]
    _columns: Callable[[Sequence[Row]], Columns]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> "ResultList[Row]": ...

    def __getitem__(self, place: int | slice) -> "Row | ResultList[Row]":
        """Return one of them, or some."""
        if isinstance(place, slice):
            return ResultList(self._rows[place], self._columns)
        return self._rows[place]

    def __iter__(self) -> Iterator[Row]:
        """Return one after the other."""
        return iter(self._rows)

    def columns(self) -> Columns:
        """Return a row a value, for `pandas.DataFrame`, `polars.from_dict`, `pyarrow.table`.

        Arrays of shape `(n,)`. Numbers are int64, -1 where there is none; truths are bool;
        words are str in an array of dtype object, empty where there are none.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     columns = pool.states().columns()
        >>> columns["mapping_root"][:2].tolist(), columns["is_live"][:2].tolist()
        ([122, 100], [True, False])
        """
        return self._columns(self._rows)


def list_of_states(states: Sequence[Candidate]) -> ResultList[Candidate]:
    """Return states, which can be columns of their attributes."""
    return ResultList(tuple(states), _columns_of_states)


def list_of_layers(layers: Sequence[MeasuredLayer]) -> ResultList[MeasuredLayer]:
    """Return Docker's layers, which can be columns of what they are and map."""
    return ResultList(tuple(layers), _columns_of_layers)


def list_of_disagreements(found: Sequence[Disagreement]) -> ResultList[Disagreement]:
    """Return disagreements, which can be columns of their attributes."""
    return ResultList(tuple(found), _columns_of_disagreements)


def _columns_of_states(rows: Sequence[Candidate]) -> Columns:
    return {
        "mapping_root": numbers(each.mapping_root for each in rows),
        "details_root": numbers(each.details_root for each in rows),
        "superblock": numbers(each.superblock for each in rows),
        "nr_devices": numbers(each.nr_devices for each in rows),
        "nr_devices_lost": numbers(each.nr_devices_lost for each in rows),
        "nr_leaves": numbers(each.nr_leaves for each in rows),
        "nr_nodes_lost": numbers(each.nr_nodes_lost for each in rows),
        "nr_mappings": numbers(each.nr_mappings for each in rows),
        "mapped_blocks": numbers(each.mapped_blocks for each in rows),
        "time": numbers(each.time for each in rows),
        "mapping_time": numbers(each.mapping_time for each in rows),
        "nr_newest": numbers(each.nr_newest for each in rows),
        "transaction_id": numbers(each.transaction_id for each in rows),
        "highest_data_block": numbers(each.highest_data_block for each in rows),
        "is_as_named": flags(each.is_as_named for each in rows),
        "is_live": flags(each.is_live for each in rows),
        "is_whole": flags(each.is_whole for each in rows),
    }


def _columns_of_layers(rows: Sequence[MeasuredLayer]) -> Columns:
    records = [each.docker.record for each in rows]
    usages = [each.usage for each in rows]
    written = [each.written for each in rows]
    return {
        "device_id": numbers(each.device_id if each else None for each in records),
        "kind": texts(each.docker.kind.value for each in rows),
        "name": texts(each.docker.name for each in rows),
        "hash": texts(each.docker.hash for each in rows),
        "parent": texts(each.docker.parent for each in rows),
        "size": numbers(each.size if each else None for each in records),
        "mapped": numbers(each.mapped if each else None for each in usages),
        "exclusive": numbers(each.exclusive if each else None for each in usages),
        "added": numbers(each.added if each else None for each in written),
        "changed": numbers(each.changed if each else None for each in written),
        "removed": numbers(each.removed if each else None for each in written),
        "is_complete": flags(bool(each and each.is_complete) for each in usages),
        "is_exact": flags(bool(each and each.is_exact) for each in usages),
    }


def _columns_of_disagreements(rows: Sequence[Disagreement]) -> Columns:
    return {
        "kind": texts(each.kind.value for each in rows),
        "device_id": numbers(each.device_id for each in rows),
        "name": texts(each.name for each in rows),
        "what": texts(each.what for each in rows),
    }
