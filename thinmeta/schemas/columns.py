"""numpy's view of the schemas: one layout, read one at a time by construct and in bulk here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from construct import (
    Array,
    BitsInteger,
    Bytes,
    Construct,
    FormatField,
    Padded,
    Struct,
    Subconstruct,
    Transformed,
)

from thinmeta.schemas import btree_node, space_map


def dtype_of(schema: Construct) -> np.dtype[Any]:
    """Return the dtype that lays out exactly what `schema` parses.

    The width is taken from `FormatField.length` and never from its format letter:
    construct spells a 4-byte integer `<L`, which numpy reads as 8 bytes. Packed bit
    fields become one unsigned integer, which `bit_fields` takes apart.

    Raises:
        TypeError: the schema has no fixed width.
    """
    match schema:
        case Struct():
            fields, offset = [], 0
            for field in schema.subcons:
                if field.name:
                    fields.append((field.name, dtype_of(field), offset))
                offset += field.sizeof()
            names, formats, offsets = zip(*fields, strict=True)
            return np.dtype(
                {"names": names, "formats": formats, "offsets": offsets, "itemsize": offset}
            )
        case FormatField():
            order, letter = schema.fmtstr
            return np.dtype(f"{order}{'u' if letter.isupper() else 'i'}{schema.length}")
        case Array():
            return np.dtype((dtype_of(schema.subcon), (schema.count,)))
        case Bytes():
            return np.dtype(f"V{schema.length}")
        case Transformed():
            return np.dtype(f"<u{schema.sizeof()}")
        case Padded():
            raise TypeError(f"{schema!r} is padding and has no dtype")
        case Subconstruct():
            return dtype_of(schema.subcon)
    raise TypeError(f"{schema!r} has no fixed-width dtype")


def field_of(schema: Construct, name: str) -> tuple[int, Construct]:
    """Return at which byte of a structure a field begins, and its schema.

    >>> field_of(btree_node.NodeHeader, "blocknr")[0]
    8
    """
    offset = 0
    for field in _unwrapped(schema, Struct).subcons:
        if field.name == name:
            return offset, field
        offset += field.sizeof()
    raise KeyError(name)


def fields_at(layout: np.dtype[Any], data: bytes, begin: int = 0) -> dict[str, Any]:
    """Return the fields of one structure, as construct would, in a tenth of the time.

    Args:
        layout: of a schema that is a `Struct`.
        data: all of the structure is in it.
        begin: where in `data` it begins.
    """
    row = np.frombuffer(data, layout, 1, begin)[0]
    return dict(zip(layout.names or (), row.tolist(), strict=True))


def rows_at(layout: np.dtype[Any], data: bytes, count: int, begin: int) -> npt.NDArray[np.void]:
    """Return structures that stand one after the other.

    Args:
        layout: of a schema that is a `Struct`.
        data: all of them are in it.
        count: how many there are.
        begin: where in `data` the first begins.
    """
    return np.frombuffer(data, layout, count, begin)


def numbers_at(layout: np.dtype[Any], data: bytes, places: Sequence[int]) -> list[int]:
    """Return the numbers that stand at some places, which need not be aligned.

    Args:
        layout: of a schema that is a number.
        data: all of them are in it.
        places: where in `data` each begins.
    """
    if not places:
        return []
    rows = np.array(places)[:, np.newaxis] + np.arange(layout.itemsize)
    numbers: list[int] = np.frombuffer(data, np.uint8)[rows].view(layout)[:, 0].tolist()
    return numbers


def bit_fields(schema: Construct) -> dict[str, tuple[int, int]]:
    """Return shift and mask of each field of a packed integer, by name.

    Args:
        schema: a byte-swapped `BitStruct`, whose first field holds the highest bits.
    """
    fields: dict[str, tuple[int, int]] = {}
    shift = 8 * schema.sizeof()
    for field in _unwrapped(schema, Struct).subcons:
        bits = _unwrapped(field, BitsInteger)
        shift -= bits.length
        fields[field.name] = (shift, (1 << bits.length) - 1)
    return fields


def _unwrapped(schema: Construct, kind: type[Construct]) -> Any:
    while not isinstance(schema, kind):
        schema = schema.subcon
    return schema


NODE_HEADER = dtype_of(btree_node.NodeHeader)
DEVICE_DETAILS = dtype_of(btree_node.DeviceDetails)
BLOCK_TIME = dtype_of(btree_node.BlockTime)
CHILD = dtype_of(btree_node.Child)
KEY = dtype_of(btree_node.Key)
INDEX_ENTRY = dtype_of(space_map.IndexEntry)
METADATA_INDEX = dtype_of(space_map.MetadataIndex)
BITMAP_HEADER = dtype_of(space_map.BitmapHeader)
REF_COUNT = dtype_of(space_map.RefCount)
