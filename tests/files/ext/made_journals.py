"""Journals made by hand in every form, and a slow model of what replaying them gives."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import fastcrc
import numpy as np
from hypothesis import strategies as st

from thinmeta.files.ext.journal_file import JournalFile
from thinmeta.files.file_system import FileExtents
from thinmeta.files.reading import Cache, Missing
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable

BLOCK = 1024
NR_HOME = 24
"""Blocks of the file system; those of the journal follow, its second half first."""

MAGIC = 0xC03B3998
UUID = bytes(range(16))
_crc32c: Any = fastcrc.crc32.iscsi
_crc32_be: Any = fastcrc.crc32.mpeg_2


class Form(NamedTuple):
    """A form of journals: 1 is a CRC-32 of each transaction, 2 and 3 CRC-32C of each block."""

    checksums: int
    is_wide: bool
    is_async: bool = False
    fast_commits: int = 0


FORMS = [Form(checksums, is_wide) for checksums in (0, 1, 2, 3) for is_wide in (False, True)]


class Change(NamedTuple):
    """New content of a block."""

    block: int
    content: bytes


class Made(NamedTuple):
    """A transaction."""

    changes: tuple[Change, ...]
    revoked: tuple[int, ...] = ()


def kernel_crc(data: bytes) -> int:
    """CRC-32C as the kernel has it, of the journal's UUID and `data`."""
    return int(_crc32c(UUID + data)) ^ 0xFFFFFFFF


@dataclass
class MadeJournal:
    """A journal's blocks."""

    form: Form
    transactions: Sequence[Made]
    ring: int = 64
    start: int = 1
    sequence: int = 7
    tags_a_block: int = 3
    blocks: list[bytes] = field(default_factory=list)
    owners: list[int | None] = field(default_factory=list)
    """The transaction that each block is of."""

    commits: list[int] = field(default_factory=list)
    """The block that commits each transaction."""

    def __post_init__(self) -> None:
        self.blocks = [bytes(BLOCK)] * (1 + self.ring + self.form.fast_commits)
        self.owners = [None] * len(self.blocks)
        self.blocks[0] = self._superblock()
        at = self.start
        for place, made in enumerate(self.transactions):
            sequence = (self.sequence + place) & 0xFFFFFFFF
            for block in self._encoded(made, sequence, 1000 + place):
                assert self.owners[at] is None, "the ring is too small"
                self.blocks[at], self.owners[at] = block, place
                last, at = at, at % self.ring + 1
            self.commits.append(last)

    def _superblock(self) -> bytes:
        compat = int(self.form.checksums == 1)
        incompat = (
            1
            | self.form.is_wide << 1
            | self.form.is_async << 2
            | (self.form.checksums == 2) << 3
            | (self.form.checksums == 3) << 4
            | bool(self.form.fast_commits) << 5
        )
        head = struct.pack(
            ">9I", MAGIC, 4, 0, BLOCK, len(self.blocks), 1, self.sequence, self.start, 0
        )
        features = struct.pack(">3I", compat, incompat, 0) + UUID + bytes(16)
        kind = 4 if self.form.checksums > 1 else 0
        data = head + features + bytes([kind, 0, 0, 0]) + struct.pack(">I", self.form.fast_commits)
        data = data.ljust(1024, b"\0")
        stored = int(_crc32c(data)) ^ 0xFFFFFFFF if self.form.checksums > 1 else 0
        return data[:252] + struct.pack(">I", stored) + data[256:]

    def _encoded(self, made: Made, sequence: int, time: int) -> Iterator[bytes]:
        summed = 0xFFFFFFFF
        if made.revoked:
            width = "Q" if self.form.is_wide else "I"
            numbers = struct.pack(f">{len(made.revoked)}{width}", *made.revoked)
            head = struct.pack(">4I", MAGIC, 5, sequence, 16 + len(numbers))
            yield self._tailed(head + numbers)
        for first in range(0, len(made.changes), self.tags_a_block):
            changes = made.changes[first : first + self.tags_a_block]
            contents = []
            tags = b""
            for place, (block, content) in enumerate(changes):
                is_escaped = content.startswith(struct.pack(">I", MAGIC))
                contents.append(bytes(4) + content[4:] if is_escaped else content)
                is_first, is_last = place == 0, place == len(changes) - 1
                flags = is_escaped | (not is_first) << 1 | is_last << 3
                tags += self._tag(block, flags, contents[-1], sequence)
                tags += UUID if is_first else b""
            descriptor = self._tailed(struct.pack(">3I", MAGIC, 1, sequence) + tags)
            for each in (descriptor, *contents):
                summed = _crc32_be(each, summed)
                yield each
        commit = struct.pack(">3I", MAGIC, 2, sequence)
        kind = (1, 4, 0, 0) if self.form.checksums == 1 else (0, 0, 0, 0)
        sums = summed if self.form.checksums == 1 else 0
        data = (commit + bytes(kind) + struct.pack(">I", sums)).ljust(48, b"\0")
        data = (data + struct.pack(">QI", time, 0)).ljust(BLOCK, b"\0")
        if self.form.checksums > 1:
            data = data[:16] + struct.pack(">I", kernel_crc(data)) + data[20:]
        yield data

    def _tag(self, block: int, flags: int, content: bytes, sequence: int) -> bytes:
        low, high = block & 0xFFFFFFFF, block >> 32
        stored = kernel_crc(struct.pack(">I", sequence) + content)
        if self.form.checksums == 3:
            return struct.pack(">4I", low, flags, high, stored)
        tag = struct.pack(">IHH", low, stored & 0xFFFF if self.form.checksums == 2 else 0, flags)
        tag += struct.pack(">I", high) if self.form.is_wide else b""
        return tag + bytes(2) if self.form.checksums == 2 else tag

    def _tailed(self, data: bytes) -> bytes:
        assert len(data) <= BLOCK - 4
        data = data.ljust(BLOCK, b"\0")
        if self.form.checksums > 1:
            data = data[:-4] + struct.pack(">I", kernel_crc(data))
        return data

    def source(self) -> "BlockSource":
        """Return the volume that it is on."""
        half = len(self.blocks) // 2
        home = [
            zlib.crc32(bytes([each])).to_bytes(4, "little") * (BLOCK // 4)
            for each in range(NR_HOME)
        ]
        return BlockSource([*home, *self.blocks[half:], *self.blocks[:half]])

    def opened(self, cache: Cache) -> JournalFile:
        """Open it on the volume that `cache` reads."""
        half = len(self.blocks) // 2
        rest = len(self.blocks) - half
        rows = [(0, half, NR_HOME + rest), (half, rest, NR_HOME)]
        columns = (np.array(column, dtype=np.uint64) * BLOCK for column in zip(*rows, strict=True))
        return JournalFile(cache, FileExtents(*columns), BLOCK)

    def home_after(self, count: int) -> list[bytes]:
        """Return the blocks of the file system after the first transactions, by the slow model."""
        blocks = list(self.source().blocks[:NR_HOME])
        for place, made in enumerate(self.transactions[:count]):
            for change in made.changes:
                later = self.transactions[place:count]
                if not any(change.block in each.revoked for each in later):
                    blocks[change.block] = change.content
        return blocks


class BlockSource:
    """A volume in memory, some of whose blocks cannot be read."""

    name = "made"

    def __init__(self, blocks: Sequence[bytes], bad: Sequence[int] = ()) -> None:
        self.blocks = list(blocks)
        self.bad = bad

    @property
    def size(self) -> int:
        return len(self.blocks) * BLOCK

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        first, skip = divmod(begin, BLOCK)
        last = -(-(begin + len(view)) // BLOCK)
        view[:] = b"".join(self.blocks[first:last])[skip : skip + len(view)]
        for bad in self.bad:
            low, high = max(bad * BLOCK, begin), min((bad + 1) * BLOCK, begin + len(view))
            if low < high:
                view[low - begin : high - begin] = bytes(high - low)
                cause = Unreadable(low, high - low, 0, Source.DATA, "disk", low, 0, "bad sector")
                yield Missing(low, high - low, cause)

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        for bad in self.bad:
            if bad * BLOCK < end and begin < (bad + 1) * BLOCK:
                cause = Unreadable(bad, BLOCK, 0, Source.LOST, "", 0, None, "it is lost")
                yield Missing(bad * BLOCK, BLOCK, cause).moved(begin, end)


contents = st.builds(
    lambda seed, is_magic: (struct.pack(">I", MAGIC) if is_magic else b"") + bytes([seed]) * BLOCK,
    st.integers(1, 255),
    st.booleans(),
).map(lambda content: content[:BLOCK])

transactions = st.lists(
    st.builds(
        Made,
        st.lists(st.builds(Change, st.integers(0, NR_HOME - 1), contents), max_size=5).map(tuple),
        st.lists(st.integers(0, NR_HOME - 1), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@st.composite
def made_journals(draw: st.DrawFn, forms: Sequence[Form] = FORMS) -> MadeJournal:
    """Draw a journal that begins anywhere in its ring."""
    return MadeJournal(
        draw(st.sampled_from(forms)),
        draw(transactions),
        start=draw(st.integers(1, 64)),
        sequence=draw(st.sampled_from([1, 7, 0xFFFFFFFE])),
    )
