"""A bbolt file, read so that nothing in it can stop the rest from being read.

Each page belongs to one place of one bucket, so none is read twice: what is read is no more
than the file, whatever its pages say of each other. What is wrong becomes a note.

Source: `DB.mmap()` and `meta.validate()`, db.go; `Cursor.search()`, cursor.go (bbolt v1.3.6).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thinmeta.errors import InputError
from thinmeta.names.docker.files import open_regular
from thinmeta.schemas.bbolt import (
    BRANCH_PAGE,
    BUCKET_LEAF,
    FNV_OFFSET_BASIS,
    FNV_PRIME,
    LEAF_PAGE,
    MAGIC,
    META_PAGE,
    PAGE_SIZES,
    VERSION,
    BranchElement,
    BucketHeader,
    LeafElement,
    Meta,
    PageHeader,
)
from thinmeta.schemas.columns import dtype_of, field_of, fields_at, rows_at

_ALL_BYTES = 256 << 20
_PAGE = dtype_of(PageHeader)
_META = dtype_of(Meta)
_BUCKET = dtype_of(BucketHeader)
_BRANCH = dtype_of(BranchElement)
_LEAF = dtype_of(LeafElement)
_CHECKED = field_of(Meta, "checksum")[0]

Elements = npt.NDArray[np.void]


class BoltFile:
    """A bbolt file that is only read. A context manager.

    Attributes:
        path: of it.
        file_id: its file system's number, and its inode.
        root: the bucket that holds all.
    """

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        """Open it.

        Args:
            path: of a regular file.
            note: told of what is wrong with it; it need not be whole.

        Raises:
            InputError: it cannot be read, or is no bbolt file.
        """
        self.path = path
        self._note = note
        self._seen: set[int] = set()
        self._bytes_left = _ALL_BYTES
        try:
            self._file = open_regular(path)
            with ExitStack() as opened:
                opened.enter_context(self._file)
                self._fd = self._file.fileno()
                status = os.fstat(self._fd)
                meta = self._meta()
                opened.pop_all()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        self.file_id = (status.st_dev, status.st_ino)
        self._page_size = meta["pageSize"]
        self._nr_pages = min(meta["pgid"], status.st_size // self._page_size)
        if meta["pgid"] > self._nr_pages:
            note(f"{path.name}: is cut short: it has {self._nr_pages} of {meta['pgid']} pages")
        self.root = Bucket(self, meta["root"][0])

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it; what was read stays."""
        self._file.close()

    def note(self, what: str) -> None:
        """Remember what is wrong."""
        self._note(f"{self.path.name}: {what}")

    def pages(self, root: int) -> Iterator[bytes]:
        """Yield the leaf pages below a page, each with what overflows of it, in order."""
        waiting = [root]
        while waiting:
            page = self._page(number := waiting.pop())
            if page is None:
                continue
            flags = fields_at(_PAGE, page)["flags"]
            if flags == LEAF_PAGE:
                yield page
            elif flags == BRANCH_PAGE:
                elements = elements_of(page, _BRANCH)
                if elements is None:
                    self.note(f"page {number}: is no sound branch; what is below it is lost")
                else:
                    waiting.extend(elements["pgid"][::-1].tolist())
            else:
                self.note(f"page {number}: is neither branch nor leaf; what is in it is lost")

    def _page(self, number: int) -> bytes | None:
        """Return a page with what overflows of it; None, and tell, where it is not to be had."""
        if number >= self._nr_pages:
            self.note(f"page {number}: is past the end of the file; what is in it is lost")
            return None
        if number in self._seen:
            self.note(f"page {number}: is referred to twice; it is read once")
            return None
        self._seen.add(number)
        begin = number * self._page_size
        try:
            page = self._read(begin, self._page_size)
            header = fields_at(_PAGE, page)
            nr_more = header["overflow"]
            if header["id"] != number:
                self.note(f"page {number}: says that it is {header['id']}; what is in it is lost")
                return None
            if number + nr_more >= self._nr_pages:
                self.note(f"page {number}: overflows the end of the file; what is in it is lost")
                return None
            more = self._read(begin + self._page_size, nr_more * self._page_size)
            self._seen.update(range(number + 1, number + 1 + nr_more))
        except (OSError, InputError) as error:
            self.note(f"page {number}: cannot be read: {error}")
            return None
        return page + more

    def _read(self, begin: int, length: int) -> bytes:
        if length > self._bytes_left:
            raise InputError(f"more than {_ALL_BYTES >> 20} MiB were read")
        self._bytes_left -= length
        parts = []
        while length:
            part = os.pread(self._fd, length, begin)
            if not part:
                raise InputError("the file ends before it")
            parts.append(part)
            begin, length = begin + len(part), length - len(part)
        return b"".join(parts)

    def _meta(self) -> dict[str, Any]:
        """Return the one of the two metas that counts.

        Raises:
            InputError: none of them is sound.
        """
        sound = [meta for place in (0, *PAGE_SIZES) if (meta := self._meta_at(place)) is not None]
        if not sound:
            raise InputError(f"{self.path}: is no bbolt file: it has no sound meta page")
        found = max(sound, key=lambda meta: meta["txid"])
        if not {0, found["pageSize"]} <= {meta["place"] for meta in sound}:
            what = "one of its two meta pages is not sound; the other counts, which may be older"
            self.note(what)
        return found

    def _meta_at(self, place: int) -> dict[str, Any] | None:
        page = os.pread(self._fd, _PAGE.itemsize + _META.itemsize, place)
        if len(page) < _PAGE.itemsize + _META.itemsize:
            return None
        meta = fields_at(_META, page, _PAGE.itemsize)
        is_sound = (
            fields_at(_PAGE, page)["flags"] == META_PAGE
            and (meta["magic"], meta["version"]) == (MAGIC, VERSION)
            and meta["pageSize"] in PAGE_SIZES
            and place in (0, meta["pageSize"])
            and meta["checksum"] == _fnv_1a(page[_PAGE.itemsize :][:_CHECKED])
        )
        return meta | {"place": place} if is_sound else None


class Bucket:
    """Keys with values or with buckets, which are read when they are asked for."""

    def __init__(self, file: BoltFile, root: int, inline: bytes = b"") -> None:
        """Read nothing yet.

        Args:
            file: that it is in.
            root: its page; 0 is `inline`.
            inline: a page within a value.
        """
        self._file = file
        self._root = root
        self._inline = inline
        self._items: dict[bytes, bytes | Bucket] | None = None

    def items(self) -> dict[bytes, "bytes | Bucket"]:
        """Return all that is in it, in the order of the keys."""
        if self._items is None:
            pages = self._file.pages(self._root) if self._root else [self._inline]
            self._items = {}
            for page in pages:
                self._items.update(self._entries(page))
        return self._items

    def value(self, key: bytes) -> bytes | None:
        """Return a value; None where there is none."""
        found = self.items().get(key)
        return found if isinstance(found, bytes) else None

    def bucket(self, *keys: bytes) -> "Bucket":
        """Return a bucket in it, or in one of those in it; an empty one where there is none."""
        found: Bucket = self
        for key in keys:
            inner = found.items().get(key)
            if not isinstance(inner, Bucket):
                return Bucket(self._file, 0)
            found = inner
        return found

    def buckets(self) -> dict[bytes, "Bucket"]:
        """Return the buckets in it, by key."""
        return {key: found for key, found in self.items().items() if isinstance(found, Bucket)}

    def _entries(self, page: bytes) -> "Iterator[tuple[bytes, bytes | Bucket]]":
        if not page:
            return
        elements = elements_of(page, _LEAF)
        if elements is None:
            self._file.note("a leaf page is not sound; what is in it is lost")
            return
        rows = zip(_begins(elements), *(elements[name].tolist() for name in _SIZES), strict=True)
        for begin, flags, ksize, vsize in rows:
            key = page[begin : begin + ksize]
            value = page[begin + ksize : begin + ksize + vsize]
            if not flags & BUCKET_LEAF:
                yield key, value
            elif len(value) < _BUCKET.itemsize:
                self._file.note(f"bucket {key!r} has no root; it is lost")
            else:
                root = fields_at(_BUCKET, value)["root"]
                yield key, Bucket(self._file, root, value[_BUCKET.itemsize :])


_SIZES = ("flags", "ksize", "vsize")


def elements_of(page: bytes, layout: np.dtype[Any]) -> Elements | None:
    """Return the elements of a page; None where they, or what they lead to, are not all in it.

    Keys and values do not overlap, so they are no more than the page.
    """
    if len(page) < _PAGE.itemsize:
        return None
    count = fields_at(_PAGE, page)["count"]
    if _PAGE.itemsize + count * layout.itemsize > len(page):
        return None
    elements = rows_at(layout, page, count, _PAGE.itemsize)
    sizes = elements["ksize"].astype(np.int64)
    if "vsize" in (layout.names or ()):
        sizes += elements["vsize"]
    ends = _begins(elements) + sizes
    is_within = not count or (ends.max() <= len(page) and sizes.sum() <= len(page))
    return elements if is_within else None


def _begins(elements: Elements) -> npt.NDArray[np.int64]:
    places = np.arange(len(elements), dtype=np.int64) * elements.itemsize + _PAGE.itemsize
    begins: npt.NDArray[np.int64] = places + elements["pos"]
    return begins


def _fnv_1a(data: bytes) -> int:
    found = FNV_OFFSET_BASIS
    for byte in data:
        found = (found ^ byte) * FNV_PRIME & (1 << 64) - 1
    return found
