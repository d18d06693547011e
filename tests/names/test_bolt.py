"""bbolt files: what bbolt wrote is read as it was meant, and nothing that is damaged raises."""

import os
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.names.containerd_roots import POOL, SNAPSHOTTER, kept_file, many_keys, small_pages, trees
from tests.names.made_bolt import PAGE, bolt_bytes, meta_bytes
from tests.properties import examples
from thinmeta.errors import InputError
from thinmeta.names.containerd.bolt import BoltFile, Bucket
from thinmeta.schemas.bbolt import BRANCH_PAGE, BranchElement, LeafElement, PageHeader
from thinmeta.schemas.decode import built, parsed

SMALL = 1024
ONE_META = "one of its two meta pages is not sound; the other counts, which may be older"


def content(bucket: Bucket) -> dict[str, Any]:
    return {
        key.decode("utf-8", "replace"): content(value) if isinstance(value, Bucket) else value
        for key, value in bucket.items().items()
    }


def read(path: Path, data: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return all that is in a file, and what was wrong with it."""
    path.write_bytes(data)
    notes: list[str] = []
    with BoltFile(path, notes.append) as file:
        return content(file.root), notes


def in_bytes(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: in_bytes(value) for key, value in tree.items()}
    return tree.encode() if isinstance(tree, str) else tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.db"


def test_what_bbolt_wrote_is_read(path: Path) -> None:
    assert read(path, small_pages()) == (in_bytes(many_keys()), [])


@pytest.mark.parametrize("name", trees())
def test_what_bbolt_wrote_of_containerd_is_read(name: str, path: Path) -> None:
    assert read(path, kept_file(name)) == (in_bytes(trees()[name]), [])


@pytest.mark.parametrize("name", trees())
def test_what_the_tests_write_is_read_too(name: str, path: Path) -> None:
    assert read(path, bolt_bytes(trees()[name])) == (in_bytes(trees()[name]), [])


def branches(data: bytes) -> list[int]:
    numbers = range(len(data) // SMALL)
    headers = [parsed(PageHeader, data[number * SMALL :]) for number in numbers]
    return [each.id for number, each in enumerate(headers)
            if each.flags == BRANCH_PAGE and each.id == number]  # fmt: skip


def with_first_child(data: bytes, branch: int, child: int) -> bytes:
    at = branch * SMALL + PageHeader.sizeof()
    element = parsed(BranchElement, data[at:])
    changed = built(BranchElement, pos=element.pos, ksize=element.ksize, pgid=child)
    return data[:at] + changed + data[at + len(changed) :]


def test_small_pages_have_branches() -> None:
    assert branches(small_pages())


@pytest.mark.parametrize("child", ["itself", "past the end", "huge", "meta"])
def test_a_branch_that_leads_astray_loses_what_is_below_it(child: str, path: Path) -> None:
    data = small_pages()
    branch = branches(data)[0]
    numbers = {"itself": branch, "past the end": len(data) // SMALL, "huge": 2**64 - 1, "meta": 0}

    found, notes = read(path, with_first_child(data, branch, numbers[child]))

    assert 0 < len(found["many"]) < 2000
    assert found["long"] == in_bytes(many_keys()["long"])
    assert len(notes) == 1
    assert notes[0].startswith(f"file.db: page {numbers[child]}: ")


def test_a_bucket_that_holds_itself_is_read_once(path: Path) -> None:
    data = bytearray(bolt_bytes({"a": {"b": {"c": "d"}}}))
    at = data.index(
        (3).to_bytes(8, "little") + bytes(8), 4 * PAGE
    )  # root of `b`, in the page of `a`
    data[at : at + 8] = (4).to_bytes(8, "little")

    found, notes = read(path, bytes(data))

    assert found == {"a": {"b": {}}}
    assert notes == ["file.db: page 4: is referred to twice; it is read once"]


def test_the_newer_meta_counts_and_the_other_where_it_is_torn(path: Path) -> None:
    data = bytearray(bolt_bytes({"new": {"k": "v"}}))
    nr_pages = len(data) // PAGE
    page = nr_pages.to_bytes(8, "little") + b"\x02\0\0\0\0\0\0\0"
    data += page.ljust(PAGE, b"\0")  # an empty leaf, the root of before
    data[16 : 16 + 64] = meta_bytes(txid=0, root=nr_pages, nr_pages=nr_pages + 1)

    newer = read(path, bytes(data))
    data[PAGE + 16 + 40] ^= 1
    older = read(path, bytes(data))

    assert newer == ({"new": {"k": b"v"}}, [])
    assert older == ({}, [f"file.db: {ONE_META}"])


def test_the_first_meta_may_be_lost(path: Path) -> None:
    for data in (bolt_bytes(trees()[f"{SNAPSHOTTER}/{POOL}.db"]), small_pages()):
        damaged = bytes(64) + data[64:]

        found, notes = read(path, damaged)

        # The other one of bbolt's file is that of before anything was written.
        assert len(found) == (0 if data == small_pages() else 2)
        assert notes == [f"file.db: {ONE_META}"]


def test_a_file_that_is_cut_short_gives_what_is_left(path: Path) -> None:
    data = small_pages()

    found, notes = read(path, data[: len(data) // 2])

    assert notes[0].startswith("file.db: is cut short: it has ")
    assert len(found) <= 2


@pytest.mark.parametrize("what", ["empty", "zeros", "text", "no meta"])
def test_what_is_no_bbolt_file_is_refused(what: str, path: Path) -> None:
    data = {
        "empty": b"",
        "zeros": bytes(1 << 17),
        "text": b"metadata\n" * 1000,
        "no meta": bytes(8192) + bolt_bytes({})[8192:],
    }[what]
    path.write_bytes(data)

    with pytest.raises(InputError, match="is no bbolt file: it has no sound meta page"):
        BoltFile(path, pytest.fail)


@pytest.mark.parametrize("what", ["nothing", "folder", "pipe", "/dev/zero"])
def test_what_is_no_file_is_refused(what: str, path: Path) -> None:
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "/dev/zero":
            path.symlink_to(what)

    with pytest.raises(InputError, match=r"file\.db: cannot be read: "):
        BoltFile(path, pytest.fail)


def test_a_page_that_claims_a_large_sparse_file_takes_no_memory(path: Path) -> None:
    nr_pages = 1 << 20
    data = bytearray(bolt_bytes({"key": "value"}))
    for place in (0, PAGE):
        at = place + PageHeader.sizeof()
        meta = meta_bytes(txid=1, root=3, nr_pages=nr_pages)
        data[at : at + len(meta)] = meta
    header = parsed(PageHeader, bytes(data[3 * PAGE :]))
    sized = {"id": 3, "flags": header.flags, "count": header.count, "overflow": nr_pages - 4}
    data[3 * PAGE : 3 * PAGE + PageHeader.sizeof()] = built(PageHeader, **sized)
    path.write_bytes(data)
    os.truncate(path, nr_pages * PAGE)
    notes: list[str] = []

    tracemalloc.start()
    with BoltFile(path, notes.append) as file:
        found = content(file.root)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (found, notes) == (
        {},
        ["file.db: page 3: cannot be read: more than 256 MiB were read"],
    )
    assert peak < 8 << 20


def test_elements_that_share_bytes_are_no_sound_page(path: Path) -> None:
    """A page may say of each of its elements that all of the page is its value."""
    count, vsize = 1000, PAGE
    number = 3
    header = built(PageHeader, id=number, flags=2, count=count, overflow=15)
    elements = b"".join(
        built(LeafElement, flags=0, pos=16 * (count - each), ksize=0, vsize=vsize)
        for each in range(count)
    )
    data = bolt_bytes({})[: number * PAGE] + (header + elements).ljust(16 * PAGE, b"\0")
    metas = [meta_bytes(txid=txid, root=number, nr_pages=19) for txid in (0, 1)]
    data = b"".join(
        data[at * PAGE :][:16] + metas[at] + data[at * PAGE + 80 : (at + 1) * PAGE]
        for at in (0, 1)
    ) + data[2 * PAGE :]  # fmt: skip

    found, notes = read(path, data)

    assert (found, notes) == ({}, ["file.db: a leaf page is not sound; what is in it is lost"])


@examples(150)
@given(changes=st.lists(st.tuples(st.integers(128, 1 << 17), st.integers(0, 255)), max_size=12))
def test_bytes_that_changed_raise_nothing(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(small_pages())
    for at, byte in changes:
        data[at % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / "changed.db"

    with suppress(InputError):
        read(path, bytes(data))
