"""What is in a block by itself: fields as its schema has them, entries, and what is wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.block.referrers import Expected
from thinmeta.analyse.recover.block_classes import NODE_CLASSES, BlockClass
from thinmeta.device.blocks import Fault
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.checksum import SALTS, Rows, checksums, salts_of
from thinmeta.schemas.columns import (
    BITMAP_HEADER,
    BLOCK_TIME,
    CHILD,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    KEY,
    METADATA_INDEX,
    REF_COUNT,
    field_of,
)
from thinmeta.schemas.decode import checked_superblock, unpack_counts
from thinmeta.schemas.described import SchemaField, Structure, ValueKind
from thinmeta.schemas.node_layout import (
    HEADER_BYTES,
    copied_headers,
    keys_of,
    most_entries,
    values_begin,
    values_of,
)
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.walk.columnar import Columns
from thinmeta.walk.nodes import INVARIANTS, KEYS_OUT_OF_ORDER, REASONS, Nodes
from thinmeta.walk.ragged import is_new

_VALUES = {
    ValueKind.CHILD: CHILD,
    ValueKind.BLOCK_TIME: BLOCK_TIME,
    ValueKind.DETAILS: DEVICE_DETAILS,
    ValueKind.INDEX_ENTRY: INDEX_ENTRY,
    ValueKind.REF_COUNT: REF_COUNT,
}
_OF_LEAVES = {
    BlockClass.MAPPINGS: ValueKind.BLOCK_TIME,
    BlockClass.DEVICE_ROOTS: ValueKind.CHILD,
    BlockClass.DETAILS: ValueKind.DETAILS,
    BlockClass.BITMAP_INDEX: ValueKind.INDEX_ENTRY,
    BlockClass.REF_COUNTS: ValueKind.REF_COUNT,
}
_STRUCTURES = {
    BlockClass.SUPERBLOCK: Structure.SUPERBLOCK,
    BlockClass.HELD_SUPERBLOCK: Structure.SUPERBLOCK,
    BlockClass.INDEX: Structure.INDEX,
    BlockClass.BITMAP: Structure.BITMAP,
    **dict.fromkeys(map(BlockClass, NODE_CLASSES), Structure.NODE),
}
_BY_SALT = {structure.salt: structure for structure in Structure}
_COUNTS_OF_A_BYTE = 4


@dataclass(frozen=True, slots=True, eq=False)
class BlockContent:
    """A block, decoded.

    Attributes:
        row: its bytes, shape `(4096,)`, dtype uint8; None where it cannot be read.
        structure: what it is decoded as; None where it is nothing that is known.
        stored_checksum: the one that stands in it; None without a structure.
        right_checksum: the one that would be right.
        fields: of the structure, in order.
        value_kind: what its entries have; None where it has none.
        entries: columns of one length, in order. Of a node `entry`, `key_offset`, `key`,
            `value_offset` and the fields of a value; of the metadata space map's index
            `entry`, `value_offset` and those fields, up to the last bitmap; of a bitmap
            `entry`, `length` and `count`, for neighbours of one count.
        faults: what is wrong with it, in words; none where it is sound.
    """

    row: Rows | None
    structure: Structure | None
    stored_checksum: int | None
    right_checksum: int | None
    fields: tuple[SchemaField, ...]
    value_kind: ValueKind | None
    entries: Columns
    faults: tuple[str, ...]

    @property
    def nr_entries(self) -> int:
        """How many rows `entries` has."""
        return len(self.entries.get("entry", ()))

    @property
    def entry_bytes(self) -> dict[str, int]:
        """How many bytes stand at the offsets of an entry, by column; of a bitmap the first."""
        size = 1 if self.value_kind is None else _VALUES[self.value_kind].itemsize
        sizes = {"key_offset": KEY.itemsize, "value_offset": size}
        return {name: size for name, size in sizes.items() if name in self.entries}

    def bytes_at(self, offset: int, nr_bytes: int) -> bytes:
        """Return bytes of the block."""
        return b"" if self.row is None else self.row[offset : offset + nr_bytes].tobytes()


def content_of(
    block: int, row: Rows, fault: Fault, found: BlockClass, expected: Expected | None
) -> BlockContent:
    """Decode a block.

    Args:
        block: where it stands.
        row: its bytes, shape `(4096,)`.
        fault: why they could not be read.
        found: its class.
        expected: what those that refer to it take it for; None if nobody says.
    """
    if fault is not Fault.NONE:
        return BlockContent(None, None, None, None, (), None, {}, ("cannot be read",))
    structure = _structure(block, row, found, expected)
    if structure is None:
        return BlockContent(row, None, None, None, (), None, {}, ())
    fields = structure.fields(row.tobytes())
    numbers = {field.name: int(field.value) for field in fields if isinstance(field.value, int)}
    value_kind = None
    entries: Columns = {}
    if structure is Structure.NODE:
        if found in NODE_CLASSES:
            expected = Expected(found)
        value_kind = _value_kind(numbers["flags"], numbers["value_size"], expected)
        entries = {} if value_kind is None else _node_entries(row, numbers, value_kind)
    elif structure is Structure.INDEX:
        value_kind = ValueKind.INDEX_ENTRY
        entries = _index_entries(row)
    elif structure is Structure.BITMAP:
        entries = _bitmap_runs(row)
    return BlockContent(
        row=row,
        structure=structure,
        stored_checksum=numbers["csum"],
        right_checksum=int(checksums(row[np.newaxis])[0]) ^ structure.salt,
        fields=fields,
        value_kind=value_kind,
        entries=entries,
        faults=tuple(_faults(block, row, structure, value_kind, entries)),
    )


def _structure(
    block: int, row: Rows, found: BlockClass, expected: Expected | None
) -> Structure | None:
    """Return what a block is to be decoded as, by its checksum, or by what else speaks for it."""
    if found in _STRUCTURES:
        return _STRUCTURES[found]
    if found is BlockClass.ZERO:
        return None
    salt = int(salts_of(row[np.newaxis])[0])
    if salt in SALTS:
        return _BY_SALT[salt]
    header = copied_headers(row[np.newaxis])[0]
    kind = _value_kind(int(header["flags"]), int(header["value_size"]), expected)
    if kind is not None and int(header["max_entries"]) <= most_entries(_VALUES[kind]):
        return Structure.NODE
    if expected is not None and (found is BlockClass.BAD or block == SUPERBLOCK_LOCATION):
        return _STRUCTURES[expected.kind]
    return None


def _value_kind(flags: int, value_size: int, expected: Expected | None) -> ValueKind | None:
    """Return what the entries of a node hold, as far as its header and its parent agree."""
    if flags == INTERNAL_NODE:
        return ValueKind.CHILD
    if expected is not None and expected.kind in _OF_LEAVES:
        kind = _OF_LEAVES[expected.kind]
        if flags != LEAF_NODE and expected.height:
            kind = ValueKind.CHILD
        if _VALUES[kind].itemsize == value_size:
            return kind
    if flags != LEAF_NODE:
        return None
    of_size = (each for each in _OF_LEAVES.values() if _VALUES[each].itemsize == value_size)
    return next(of_size, None)


def _node_entries(row: Rows, numbers: dict[str, int], kind: ValueKind) -> Columns:
    """Return as many entries as the block can have; none where nobody knows where they stand."""
    values, room = _VALUES[kind], numbers["max_entries"]
    if room > most_entries(values):
        return {}
    nr_entries = min(numbers["nr_entries"], room)
    places = np.arange(nr_entries, dtype=np.int64)
    rows = row[np.newaxis]
    return {
        "entry": places,
        "key_offset": HEADER_BYTES + places * KEY.itemsize,
        "key": keys_of(rows, room)[0, :nr_entries],
        "value_offset": values_begin(room) + places * values.itemsize,
        **_value_columns(kind, values_of(rows, room, values)[0, :nr_entries]),
    }


def _value_columns(kind: ValueKind, values: npt.NDArray[Any]) -> Columns:
    if kind is ValueKind.BLOCK_TIME:
        return {"data_block": block_time.data_block(values), "time": block_time.time(values)}
    names = values.dtype.names
    return {next(iter(kind.docs)): values} if names is None else {n: values[n] for n in names}


def _index_entries(row: Rows) -> Columns:
    index = row.view(METADATA_INDEX)["index"][0]
    used = np.flatnonzero(index["blocknr"] != 0)
    places = np.arange(int(used[-1]) + 1 if len(used) else 0, dtype=np.int64)
    offset, _ = field_of(Structure.INDEX.value[0], "index")
    return {
        "entry": places,
        "value_offset": offset + places * INDEX_ENTRY.itemsize,
        **_value_columns(ValueKind.INDEX_ENTRY, index[: len(places)]),
    }


def _bitmap_runs(row: Rows) -> Columns:
    counts = unpack_counts(row[np.newaxis, BITMAP_HEADER.itemsize :])[0]
    begins = np.flatnonzero(is_new(counts))
    return {
        "entry": begins,
        "value_offset": BITMAP_HEADER.itemsize + begins // _COUNTS_OF_A_BYTE,
        "length": np.diff(begins, append=len(counts)),
        "count": counts[begins],
    }


def _faults(
    block: int, row: Rows, structure: Structure, kind: ValueKind | None, entries: Columns
) -> list[str]:
    """Return all that is wrong with a block that can be read."""
    rows = row[np.newaxis]
    header = copied_headers(rows)
    if structure is Structure.SUPERBLOCK:
        fault = checked_superblock(row, block).fault
        return [] if fault is None else [fault]
    if structure is not Structure.NODE:
        is_wrong = int(salts_of(rows)[0]) != structure.salt
        faults = ["has a wrong checksum"] if is_wrong else []
        return faults + _written_elsewhere(block, int(header["blocknr"][0]))
    size = header["value_size"] if kind is None else [_VALUES[kind].itemsize]
    nodes = Nodes(
        blocks=np.array([block], dtype=np.uint64),
        rows=rows,
        headers=header,
        faults=np.zeros(1, dtype=np.uint8),
        limit=block + 1,
        is_internal=header["flags"] != LEAF_NODE,
        value_size=np.array(size, dtype=np.uint32),
    )
    faults = [what for what, is_broken in INVARIANTS if is_broken(nodes)[0]]
    if len(entries) and (entries["key"][1:] <= entries["key"][:-1]).any():
        faults.append(REASONS[KEYS_OUT_OF_ORDER])
    return faults


def _written_elsewhere(block: int, blocknr: int) -> list[str]:
    return [] if blocknr == block else [f"was written for block {blocknr}"]
