"""What fills a block, field by field: where each stands, what it holds, and what that means."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from construct import Array, Construct, Padded, Renamed, Struct

from thinmeta.schemas.btree_node import (
    BTREE_CSUM_XOR,
    BlockTime,
    Child,
    DeviceDetails,
    Key,
    NodeHeader,
)
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.space_map import (
    BITMAP_CSUM_XOR,
    INDEX_CSUM_XOR,
    BitmapHeader,
    IndexEntry,
    MetadataIndex,
    RefCount,
)
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR, Superblock


class SchemaField(NamedTuple):
    """One field of a structure.

    Attributes:
        offset: the byte of the block where it begins.
        nr_bytes: how many bytes it takes.
        name: the kernel's; of a structure within a structure both, with a point between;
            empty for what only fills.
        value: a number, or bytes; None for what only fills.
        doc: what it means.
    """

    offset: int
    nr_bytes: int
    name: str
    value: int | bytes | None
    doc: str


class Structure(Enum):
    """What fills a block: its schema, and the salt of its checksum."""

    SUPERBLOCK = Superblock, SUPERBLOCK_CSUM_XOR
    NODE = NodeHeader, BTREE_CSUM_XOR
    INDEX = MetadataIndex, INDEX_CSUM_XOR
    BITMAP = BitmapHeader, BITMAP_CSUM_XOR

    @property
    def struct_name(self) -> str:
        """The kernel's name of the structure."""
        return str(self.value[0].name)

    @property
    def salt(self) -> int:
        """What its checksum is xored with."""
        return self.value[1]

    def fields(self, data: bytes) -> tuple[SchemaField, ...]:
        """Return its fields, as they stand in `data`, but no arrays.

        >>> Structure.NODE.fields(bytes(32))[1]
        SchemaField(offset=4, nr_bytes=4, name='flags', value=0, doc='1: internal node, 2: leaf')

        Raises:
            InputError: `data` is too short.
        """
        schema = self.value[0]
        return tuple(_fields(schema, parsed(schema, data), 0, ""))


class ValueKind(Enum):
    """What an entry of a node, or of the metadata index, leads to or says."""

    CHILD = Child
    BLOCK_TIME = BlockTime
    DETAILS = DeviceDetails
    INDEX_ENTRY = IndexEntry
    REF_COUNT = RefCount

    @property
    def docs(self) -> dict[str, str]:
        """What each of its fields means; of a single number, by the number's own name."""
        kind = _unnamed(self.value)
        while not isinstance(kind, Struct) and hasattr(kind, "subcon"):
            kind = kind.subcon
        fields = kind.subcons if isinstance(kind, Struct) else [self.value]
        return {field.name: field.docs for field in fields}


KEY_DOC = str(Key.docs)
"""What the key of an entry means."""


def _fields(schema: Construct, values: Any, begin: int, prefix: str) -> Iterator[SchemaField]:
    offset = begin
    for field in _unnamed(schema).subcons:
        size, kind = field.sizeof(), _unnamed(field)
        if isinstance(kind, Struct):
            yield from _fields(field, values[field.name], offset, f"{prefix}{field.name}.")
        elif isinstance(kind, Padded):
            yield SchemaField(offset, size, "", None, field.docs or "not used")
        elif not isinstance(kind, Array):
            value, doc = values[field.name], field.docs
            yield SchemaField(offset, size, prefix + field.name, value, doc)
        offset += size


def _unnamed(schema: Construct) -> Construct:
    while isinstance(schema, Renamed):
        schema = schema.subcon
    return schema
