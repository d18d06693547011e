"""Two volumes that crashes left are read as the kernel read them, however they are read."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.crash_fixtures import crash_image, crash_truth
from tests.files.crash_images import read_by
from tests.files.image_source import BytesSource
from tests.properties import examples
from thinmeta.files.opened_files import OpenedFiles, open_file_system
from thinmeta.files.reading import Cache

KINDS = ["ext4", "xfs"]


def opened(kind: str, *, replay: bool = True) -> OpenedFiles:
    return open_file_system(BytesSource(crash_image(kind)), replay=replay)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_what_the_kernel_showed(kind: str) -> None:
    files = opened(kind)

    assert (files.nr_transactions, files.fault) == (41, None)
    assert read_by(files.file_system, Cache(files.source)) == crash_truth(kind)
    assert len(crash_truth(kind)) > 380


@pytest.mark.parametrize("kind", KINDS)
def test_without_replay_it_is_what_is_on_disk(kind: str) -> None:
    files = opened(kind, replay=False)

    assert (files.nr_transactions, files.fault) == (0, None)
    assert len(read_by(files.file_system, Cache(files.source))) < 5


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_the_same_however_they_are_read(kind: str) -> None:
    source = opened(kind).source
    whole = bytearray(source.size)
    assert list(source.fill(memoryview(whole), 0)) == []
    changed = [
        at
        for at in range(0, source.size, 512)
        if whole[at : at + 512] != crash_image(kind)[at : at + 512]
    ]

    @examples(200)
    @given(st.sampled_from(changed), st.integers(-3000, 3000), st.integers(1, 9000))
    def is_so(place: int, shift: int, length: int) -> None:
        begin = max(0, place + shift)
        part = bytearray(min(length, source.size - begin))
        assert list(source.fill(memoryview(part), begin)) == []
        assert part == whole[begin : begin + len(part)]

    assert len(changed) > 100
    is_so()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(kind: str) -> None:
    source = opened(kind).source

    assert list(source.lost(0, source.size)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_file_system_is_kept_after_its_use(kind: str) -> None:
    gc.disable()
    try:
        files = opened(kind)
        read_by(files.file_system, Cache(files.source))
        kept = weakref.ref(files.file_system), weakref.ref(files.source)
        del files
        assert [each() for each in kept] == [None, None]
    finally:
        gc.enable()
