"""A journal is replayed as the kernel does it, as far as it can be believed, and no further."""

import struct
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.ext.made_journals import (
    BLOCK,
    FORMS,
    NR_HOME,
    BlockSource,
    Change,
    Form,
    Made,
    MadeJournal,
    made_journals,
)
from tests.properties import examples
from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.ext.journal import replay_transactions
from thinmeta.files.ext.journal_file import JournalError
from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache

NEW = b"\x11" * BLOCK
SUMMED = [form for form in FORMS if form.checksums]
SYNC = Form(3, is_wide=True)
ASYNC = Form(3, is_wide=True, is_async=True)
PLAIN = Form(0, is_wide=False)


class Outcome(NamedTuple):
    """What was read, and of what the replay told."""

    home: list[bytes]
    nr_transactions: int
    fault: str | None


def replayed(journal: MadeJournal, source: BlockSource | None = None) -> Outcome:
    source = source or journal.source()
    cache = Cache(source)
    replay = replay_transactions(journal.opened(cache), cache)
    data = Cache(replay.source).read(0, NR_HOME * BLOCK)
    home = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    return Outcome(home, replay.nr_transactions, replay.fault)


def changing(*blocks: int) -> Made:
    return Made(tuple(Change(block, NEW) for block in blocks))


def flip(journal: MadeJournal, block: int, at: int, mask: int = 0x40) -> None:
    data = bytearray(journal.blocks[block])
    data[at] ^= mask
    journal.blocks[block] = bytes(data)


@examples(200)
@given(made_journals())
def test_a_sound_journal_gives_what_a_slow_model_gives(journal: MadeJournal) -> None:
    count = len(journal.transactions)

    assert replayed(journal) == (journal.home_after(count), count, None)


@examples(200)
@given(made_journals(), st.data())
def test_bytes_are_the_same_however_they_are_read(
    journal: MadeJournal, data: st.DataObject
) -> None:
    cache = Cache(journal.source())
    source = replay_transactions(journal.opened(cache), cache).source
    begin = data.draw(st.integers(0, NR_HOME * BLOCK - 1))
    length = data.draw(st.integers(1, NR_HOME * BLOCK - begin))
    part = bytearray(length)

    assert list(source.fill(memoryview(part), begin)) == []
    whole = b"".join(journal.home_after(len(journal.transactions)))
    assert bytes(part) == whole[begin : begin + length]


@examples(200)
@given(made_journals(), st.data())
def test_it_ends_where_a_torn_transaction_begins(journal: MadeJournal, data: st.DataObject) -> None:
    torn = data.draw(st.integers(0, len(journal.transactions) - 1))
    own = [block for block, owner in enumerate(journal.owners) if owner == torn]
    gone = {journal.commits[torn], *data.draw(st.sets(st.sampled_from(own)))}
    for block, owner in enumerate(journal.owners):
        if owner is not None and (owner > torn or block in gone):
            journal.blocks[block] = bytes(BLOCK)

    assert replayed(journal) == (journal.home_after(torn), torn, None)


@examples(400)
@given(
    made_journals(SUMMED),
    st.integers(0, 1 << 16),
    st.integers(0, BLOCK - 1),
    st.integers(1, 255),
)
def test_a_wrong_bit_is_never_replayed(
    journal: MadeJournal, place: int, at: int, mask: int
) -> None:
    """But version 1 sums up descriptors and contents alone."""
    used = [block for block, owner in enumerate(journal.owners) if owner is not None]
    if journal.form.checksums == 1:
        used = [
            block for block in used if journal.blocks[block][4:8] not in (b"\0\0\0\2", b"\0\0\0\5")
        ]
    if not used:
        return
    block = used[place % len(used)]
    flip(journal, block, at, mask)

    home, count, fault = replayed(journal)

    assert home == journal.home_after(count)
    # Before the first commit of version 1 nothing says when this journal was written: what
    # follows a descriptor that is none any more may be of an older one.
    is_known = count > 0 or journal.form.checksums > 1
    if count < len(journal.transactions) and fault is None and is_known:
        assert (block, count) == (journal.commits[-1], len(journal.transactions) - 1)


@examples(200)
@given(
    made_journals(), st.lists(st.tuples(st.integers(0, 64), st.integers(0, BLOCK - 1)), max_size=9)
)
def test_a_hostile_journal_is_an_error_or_a_fault(
    journal: MadeJournal, places: list[tuple[int, int]]
) -> None:
    for block, at in places:
        flip(journal, block, at, 0xFF)

    with suppress(JournalError, UnsupportedFormatError):
        replayed(journal)


def test_a_commit_that_follows_shows_that_something_is_gone() -> None:
    journal = MadeJournal(SYNC, [changing(1), changing(2), changing(3)])
    journal.blocks[journal.owners.index(1)] = bytes(BLOCK)

    home, count, fault = replayed(journal)

    assert (home, count) == (journal.home_after(1), 1)
    assert fault is not None
    assert "not replayed from transaction 8 on" in fault


@pytest.mark.parametrize("form", [ASYNC, ASYNC._replace(checksums=1)])
def test_a_commit_may_be_there_before_what_it_commits(form: Form) -> None:
    journal = MadeJournal(form, [changing(1), changing(2)])
    journal.blocks[journal.commits[-1] - 1] = bytes(BLOCK)

    assert replayed(journal) == (journal.home_after(1), 1, None)


@pytest.mark.parametrize("form", [ASYNC, ASYNC._replace(checksums=1)])
def test_but_not_if_another_follows(form: Form) -> None:
    journal = MadeJournal(form, [changing(1), changing(2), changing(3)])
    journal.blocks[journal.commits[1] - 1] = bytes(BLOCK)

    home, count, fault = replayed(journal)

    assert (home, count) == (journal.home_after(1), 1)
    assert fault is not None


def test_what_another_journal_left_is_its_end() -> None:
    """Its commits are older, whatever their numbers are."""
    journal = MadeJournal(SYNC, [changing(1), changing(2)])
    stale = MadeJournal(PLAIN, [changing(5)], sequence=9, start=journal.commits[-1] + 1)
    for block, owner in enumerate(stale.owners):
        if owner is not None:
            journal.blocks[block] = stale.blocks[block]
    commit = stale.commits[0]
    old = struct.pack(">Q", 3)
    journal.blocks[commit] = journal.blocks[commit][:48] + old + journal.blocks[commit][56:]

    assert replayed(journal) == (journal.home_after(2), 2, None)


def test_a_block_that_is_not_there_is_a_fault() -> None:
    journal = MadeJournal(PLAIN, [changing(1), changing(10**6)])

    home, count, fault = replayed(journal)

    assert (home, count) == (journal.home_after(1), 1)
    assert fault is not None
    assert "block 1000000" in fault


def test_tags_without_an_end_are_a_fault() -> None:
    journal = MadeJournal(PLAIN, [changing(1), changing(2)])
    flip(journal, journal.owners.index(1), 12 + 7, 8)

    home, count, fault = replayed(journal)

    assert (home, count) == (journal.home_after(1), 1)
    assert fault is not None


def test_transactions_that_go_round_are_a_fault() -> None:
    journal = MadeJournal(PLAIN, [changing(1)], ring=8)
    journal.blocks[1:9] = [journal.blocks[1], bytes(BLOCK)] * 4

    home, count, fault = replayed(journal)

    assert (home, count) == (journal.home_after(0), 0)
    assert fault is not None
    assert "longer than the journal" in fault


@pytest.mark.parametrize("form", [PLAIN, Form(1, is_wide=False), SYNC], ids=str)
def test_content_that_cannot_be_read_is_missing_where_it_belongs(form: Form) -> None:
    journal = MadeJournal(form, [changing(1, 2), changing(3)])
    source = journal.source()
    content = journal.owners.index(0) + 1
    source.bad = [NR_HOME + len(journal.blocks) - len(journal.blocks) // 2 + content]
    cache = Cache(source)

    replay = replay_transactions(journal.opened(cache), cache)

    after = Cache(replay.source)
    assert (replay.nr_transactions, replay.fault) == (2, None)
    assert [after.read(block * BLOCK, BLOCK) for block in (2, 3)] == [NEW, NEW]
    with pytest.raises(FileError, match="bad sector"):
        after.read(BLOCK, BLOCK)
    assert [(part.begin, part.length) for part in replay.source.lost(0, NR_HOME * BLOCK)] == [
        (BLOCK, BLOCK)
    ]


def test_a_descriptor_that_cannot_be_read_is_a_fault() -> None:
    journal = MadeJournal(SYNC, [changing(1), changing(2)])
    source = journal.source()
    descriptor = journal.owners.index(1)
    source.bad = [NR_HOME + len(journal.blocks) - len(journal.blocks) // 2 + descriptor]

    _, count, fault = replayed(journal, source)

    assert count == 1
    assert fault is not None
    assert "bad sector" in fault


@pytest.mark.parametrize(("tid", "is_refused"), [(8, True), (7, False)])
def test_fast_commits_are_refused_if_they_count(tid: int, is_refused: bool) -> None:
    journal = MadeJournal(PLAIN._replace(fast_commits=40), [changing(1)], ring=1024)
    journal.blocks[journal.ring + 2] = struct.pack("<HHII", 9, 8, 0, tid).ljust(BLOCK, b"\0")

    if is_refused:
        with pytest.raises(UnsupportedFormatError, match=r"fast commits.*--no-replay"):
            replayed(journal)
    else:
        assert replayed(journal) == (journal.home_after(1), 1, None)
