"""bbolt files with any content: each bucket is one leaf page, as long as it has to be."""

from collections.abc import Mapping
from typing import Any, Union

from thinmeta.schemas.bbolt import (
    BUCKET_LEAF,
    FNV_OFFSET_BASIS,
    FNV_PRIME,
    LEAF_PAGE,
    MAGIC,
    META_PAGE,
    VERSION,
    BucketHeader,
    LeafElement,
    Meta,
    PageHeader,
)
from thinmeta.schemas.decode import built

PAGE = 4096
_FIRST = 3  # after two metas and the list of free pages

Tree = Mapping[str, Union["Tree", str, bytes]]
"""Keys with values or with buckets."""


def bolt_bytes(tree: Tree) -> bytes:
    """Return a bbolt file that holds these buckets."""
    pages: list[bytes] = []
    root = _written(tree, pages)
    nr_pages = _FIRST + len(b"".join(pages)) // PAGE
    metas = [_meta_page(number, root, nr_pages) for number in (0, 1)]
    free = built(PageHeader, id=2, flags=0x10, count=0, overflow=0).ljust(PAGE, b"\0")
    return b"".join([*metas, free, *pages])


def _written(tree: Tree, pages: list[bytes]) -> int:
    """Write what is in a bucket, then the bucket; return its page."""
    entries = []
    for key, value in sorted((key.encode(), value) for key, value in tree.items()):
        if isinstance(value, Mapping):
            content = built(BucketHeader, root=_written(value, pages), sequence=0)
            entries.append((BUCKET_LEAF, key, content))
        else:
            entries.append((0, key, value.encode() if isinstance(value, str) else value))
    place = LeafElement.sizeof() * len(entries)
    elements, rest = b"", b""
    for flags, key, value in entries:
        pos = place - len(elements) + len(rest)
        sizes = {"ksize": len(key), "vsize": len(value)}
        elements += built(LeafElement, flags=flags, pos=pos, **sizes)
        rest += key + value
    length = PageHeader.sizeof() + len(elements) + len(rest)
    overflow = (length - 1) // PAGE
    number = _FIRST + len(b"".join(pages)) // PAGE
    header = built(PageHeader, id=number, flags=LEAF_PAGE, count=len(entries), overflow=overflow)
    pages.append((header + elements + rest).ljust((overflow + 1) * PAGE, b"\0"))
    return number


def _meta_page(number: int, root: int, nr_pages: int) -> bytes:
    header = built(PageHeader, id=number, flags=META_PAGE, count=0, overflow=0)
    return (header + meta_bytes(txid=number, root=root, nr_pages=nr_pages)).ljust(PAGE, b"\0")


def meta_bytes(*, txid: int, root: int, nr_pages: int, page_size: int = PAGE) -> bytes:
    fields: dict[str, Any] = {
        "magic": MAGIC,
        "version": VERSION,
        "pageSize": page_size,
        "flags": 0,
        "root": {"root": root, "sequence": 0},
        "freelist": 2,
        "pgid": nr_pages,
        "txid": txid,
    }
    checked = built(Meta, **fields, checksum=0)[:-8]
    checksum = FNV_OFFSET_BASIS
    for byte in checked:
        checksum = (checksum ^ byte) * FNV_PRIME % (1 << 64)
    return built(Meta, **fields, checksum=checksum)


def varint(number: int) -> bytes:
    """Return a number as Go's `binary.PutUvarint` writes it."""
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])
