"""By what a rescue knows that it goes on with the same volume."""

import errno
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.volume.volumes import in_memory, noise
from thinmeta.device.extents import Extents
from thinmeta.volume.subject import Sample, Subject, sample

MIB = 1 << 20
CONTENT = noise(5 * MIB // 4096, 3) + b"the rest"


def sampled(content: bytes) -> Sample:
    extents = in_memory("data", content[:12345], content[12345:])
    try:
        return sample(extents)
    finally:
        extents.close()


def test_a_sample_is_what_it_says() -> None:
    step = len(CONTENT) // 65 // 4096 * 4096
    begin = (len(CONTENT) - MIB) // 4096 * 4096
    blocks = b"".join(CONTENT[n * step : n * step + 4096] for n in range(1, 65))

    found = sampled(CONTENT)

    assert found == Sample(
        len(CONTENT),
        hashlib.sha256(CONTENT[:MIB]).hexdigest(),
        hashlib.sha256(CONTENT[begin:]).hexdigest(),
        hashlib.sha256(blocks).hexdigest(),
    )
    assert Sample.parse(str(found)) == found


@examples(50)
@given(content=st.binary(max_size=20_000), at=st.integers(0, 20_000))
def test_any_change_of_a_small_file_is_seen(content: bytes, at: int) -> None:
    found = sampled(content)

    assert found.may_be(sampled(content))
    assert not found.may_be(sampled(content + b"x"))
    if at < len(content):
        other = bytearray(content)
        other[at] ^= 1
        assert not found.may_be(sampled(bytes(other)))


def test_it_does_not_see_every_change() -> None:
    other = bytearray(CONTENT)
    other[MIB + 4096 * 5] ^= 1

    assert sampled(bytes(other)) == sampled(CONTENT)


def test_what_cannot_be_read_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Extents.read_into

    def failing(self: Extents, buffer: memoryview, offset: int) -> int:
        if offset == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return plain(self, buffer, offset)

    monkeypatch.setattr(Extents, "read_into", failing)
    partly = sampled(CONTENT)
    monkeypatch.undo()
    whole = sampled(CONTENT)

    assert (partly.first, partly[2:]) == (None, whole[2:])
    assert Sample.parse(str(partly)) == partly
    assert partly.may_be(whole)
    assert whole.may_be(partly)
    assert not partly.may_be(whole._replace(last="00"))


@pytest.mark.parametrize("origin", [None, Sample(3, "aa", None, "bb")])
def test_a_subject_is_read_as_it_was_written(origin: Sample | None) -> None:
    subject = Subject("device 1, transaction 4", "roots 3 and 4", sampled(b"content"), origin)

    assert Subject.parse(str(subject)) == subject
    assert subject.difference(subject) is None


@pytest.mark.parametrize(
    "text",
    ["", "a volume", "a volume\nmetadata: x", "a volume\nmetadata: x\ndata: 5 bytes, sha256 no"],
)
def test_what_is_no_subject(text: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        Subject.parse(text)
