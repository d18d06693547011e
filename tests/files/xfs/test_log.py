"""The log of a crashed XFS that was torn or damaged since is replayed as far as it is believed.

What is right then is what is replayed of a log that just ends there.
"""

import struct
from contextlib import suppress
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.crash_fixtures import crash_image, crash_truth
from tests.files.crash_images import read_by
from tests.files.image_source import BytesSource
from tests.files.mounted import Shown
from tests.properties import examples
from thinmeta.errors import InputError
from thinmeta.files.reading import Cache, Missing
from thinmeta.files.xfs.log import replay_log
from thinmeta.files.xfs.log_records import LogRecord, LogRecords
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable
from thinmeta.volume.xfs_log import LogPlace, log_block

BLOCK = 512
LENGTH_AT, LSN_AT, CRC_AT = 12, 16, 32


class Outcome(NamedTuple):
    """What was read, and of what the replay told."""

    files: dict[bytes, Shown]
    nr_transactions: int
    fault: str | None


def replayed(image: bytes) -> Outcome:
    below = Cache(BytesSource(image))
    replay = replay_log(Xfs(below), below)
    above = Cache(replay.source)
    return Outcome(read_by(Xfs(above), above), replay.nr_transactions, replay.fault)


@cache
def place() -> LogPlace:
    log = Xfs(Cache(BytesSource(crash_image("xfs")))).log
    assert log is not None
    return LogPlace(*log)


@cache
def records() -> list[LogRecord]:
    found = LogRecords(BytesSource(crash_image("xfs")), place())
    there = found.find()
    assert there.tail is not None
    return list(found.between(there.tail, there.last))


def begin_of(record: LogRecord) -> int:
    return place().begin + log_block(record.lsn) * BLOCK


def changed(*changes: tuple[int, bytes]) -> bytes:
    image = bytearray(crash_image("xfs"))
    for at, data in changes:
        image[at : at + len(data)] = data
    return bytes(image)


def ended(count: int) -> bytes:
    """Return the image with a log of so many records."""
    begin = begin_of(records()[count])
    return changed((begin, bytes(place().begin + place().size - begin)))


@cache
def outcome_of(count: int) -> Outcome:
    return replayed(ended(count))


def without_sums(image: bytes) -> bytes:
    """Return an image whose records have no checksums, as those of old kernels."""
    found = bytearray(image)
    for record in records():
        at = begin_of(record) + CRC_AT
        found[at : at + 4] = bytes(4)
    return bytes(found)


def test_there_are_enough_records() -> None:
    assert len(records()) > 20
    assert max(len(record.content) for record in records()) > 8 * BLOCK


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8, 0.95])
def test_wherever_the_log_ends_the_files_are_whole(share: float) -> None:
    """A transaction is all or nothing, so nothing contradicts itself."""
    count = int(len(records()) * share)

    files, nr_transactions, fault = outcome_of(count)

    assert fault is None
    assert 0 < nr_transactions < 41
    assert 0 < len(files) <= len(crash_truth("xfs"))


def test_records_without_checksums_are_believed_by_their_cycles() -> None:
    image = without_sums(crash_image("xfs"))

    assert replayed(image) == (crash_truth("xfs"), 41, None)


@pytest.mark.parametrize("has_sums", [True, False])
@pytest.mark.parametrize("missing", [1, 3, 8])
def test_records_that_were_on_their_way_may_be_torn(missing: int, *, has_sums: bool) -> None:
    """Of several at once the first may lack its end, which has what was there before."""
    torn = len(records()) - missing
    last_block = begin_of(records()[torn]) + len(records()[torn].content)
    image = changed((last_block, bytes(BLOCK)))

    assert replayed(image if has_sums else without_sums(image)) == outcome_of(torn)


def test_one_that_is_torn_further_back_is_a_fault() -> None:
    torn = len(records()) - 12
    image = changed((begin_of(records()[torn]), bytes(BLOCK)))

    files, nr_transactions, fault = replayed(image)

    assert (files, nr_transactions) == outcome_of(torn)[:2]
    assert fault is not None
    assert f"block {log_block(records()[torn].lsn)} of the log is missing" in fault


@examples(60)
@given(st.data())
def test_a_wrong_bit_is_never_replayed(data: st.DataObject) -> None:
    """The first 4 bytes of a block can make it look torn."""
    number = data.draw(
        st.sampled_from([len(records()) // 2, len(records()) - 9, len(records()) - 1])
    )
    record = records()[number]
    at = begin_of(record) + data.draw(st.integers(0, BLOCK + len(record.content) - 1))
    wrong = crash_image("xfs")[at] ^ data.draw(st.integers(1, 255))

    files, nr_transactions, fault = replayed(changed((at, bytes([wrong]))))

    whole = (crash_truth("xfs"), 41)
    is_unused = 0 <= at - begin_of(record) - 328 < BLOCK - 328
    assert (files, nr_transactions) == (whole if is_unused else outcome_of(number)[:2])
    if not is_unused and at % BLOCK >= 4:
        assert fault is not None


def test_a_sector_that_cannot_be_read_is_a_fault() -> None:
    record = records()[-2]
    image = crash_image("xfs")

    class Bad(BytesSource):
        def fill(self, view: memoryview, begin: int) -> list[Missing]:
            super().fill(view, begin)
            at = begin_of(record) + BLOCK
            if begin < at + BLOCK and at < begin + len(view):
                cause = Unreadable(at, BLOCK, 0, Source.DATA, "disk", at, 0, "bad sector")
                return [Missing(at, BLOCK, cause).moved(begin, begin + len(view))]
            return []

    below = Cache(Bad(image))
    replay = replay_log(Xfs(below), below)

    assert replay.nr_transactions == outcome_of(len(records()) - 2).nr_transactions
    assert replay.fault is not None
    assert "bad sector" in replay.fault


def test_a_log_without_a_record_is_a_fault() -> None:
    below = Cache(BytesSource(changed((place().begin, bytes(place().size)))))

    replay = replay_log(Xfs(below), below)

    assert (replay.source, replay.nr_transactions) == (below.source, 0)
    assert replay.fault is not None
    assert "no record" in replay.fault


@examples(150)
@given(st.data())
def test_a_hostile_log_is_an_error_or_a_fault(data: st.DataObject) -> None:
    """Without checksums, so that it is believed."""
    image = bytearray(without_sums(crash_image("xfs")))
    for _ in range(data.draw(st.integers(1, 12))):
        record = records()[data.draw(st.integers(0, len(records()) - 1))]
        at = begin_of(record) + data.draw(
            st.integers(0, BLOCK + min(len(record.content), 4000) - 1)
        )
        if at % BLOCK >= 4:
            image[at] = data.draw(st.sampled_from([0, 1, 2, 0x10, 0x3B, 0x3C, 0x7F, 0x80, 0xFF]))

    with suppress(InputError):
        replayed(bytes(image))


@pytest.mark.parametrize("at", [LENGTH_AT, LSN_AT, 24, 320])
def test_a_header_that_says_too_much_is_a_fault(at: int) -> None:
    """Its length, its place, the tail, and how many blocks it takes."""
    record = records()[-1]
    image = without_sums(changed((begin_of(record) + at, struct.pack(">I", 0x7FFFFFFF))))

    _, nr_transactions, fault = replayed(image)

    assert nr_transactions < 41
    assert fault is not None


def test_the_order_of_an_inode_is_turned_as_field_by_field() -> None:
    from thinmeta.files.xfs.log_bytes import put_in_order

    row = np.arange(176, dtype=np.uint8)[np.newaxis].copy()
    row[0, 120:128] = 0
    old = put_in_order(row)[0].tolist()
    row[0, 120] = 0x18
    new = put_in_order(row)[0].tolist()

    assert old[:8] == [1, 0, 3, 2, 4, 5, 6, 7]
    assert old[32:40] == [35, 34, 33, 32, 39, 38, 37, 36]
    assert new[32:40] == [39, 38, 37, 36, 35, 34, 33, 32]
    assert (old[24:32], new[24:32]) == ([24, 25, 26, 27, 28, 29, 31, 30], list(range(31, 23, -1)))
    assert old[96:104] == new[96:104] == [99, 98, 97, 96, *range(100, 104)]
    assert put_in_order(row[:, :96])[0].tolist() == old[:96]
