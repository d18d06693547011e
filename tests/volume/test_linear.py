"""Linear and zero targets hold what the volume holds, also over segments on several disks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.volume.volumes import UNIT, Made, made_volumes, noise
from thinmeta.errors import InputError
from thinmeta.units import SECTOR_BYTES
from thinmeta.volume.linear import ZERO, DeviceSegment, linear_targets


def applied(
    made: Made, segments: list[DeviceSegment], origin: list[DeviceSegment], disks: dict[str, bytes]
) -> bytes:
    targets, names = linear_targets(made.layout(), segments, origin)
    content = b""
    for begin, length, offset, device in zip(
        *(column.tolist() for column in (targets.begin, targets.length, targets.offset)),
        targets.device.tolist(),
        strict=True,
    ):
        assert begin * SECTOR_BYTES == len(content)
        size, at = length * SECTOR_BYTES, offset * SECTOR_BYTES
        content += bytes(size) if device == ZERO else disks[names[device]][at : at + size]
    return content


@examples(150)
@given(
    made=made_volumes(),
    cuts=st.lists(st.integers(0, 96), max_size=5),
    gap=st.integers(0, 3),
)
def test_they_hold_what_the_volume_holds(made: Made, cuts: list[int], gap: int) -> None:
    whole = len(made.origin or b"") // SECTOR_BYTES * SECTOR_BYTES
    made = Made(
        made.mappings,
        made.size // SECTOR_BYTES * SECTOR_BYTES,
        made.data,
        (made.origin or b"")[:whole] or None,
    )
    ends = sorted({cut * SECTOR_BYTES for cut in cuts if cut * SECTOR_BYTES < len(made.data)})
    disks = {"a": b"", "b": b""}

    def laid_out(content: bytes, ends: list[int]) -> list[DeviceSegment]:
        segments = []
        for place, (begin, end) in enumerate(zip([0, *ends], [*ends, len(content)], strict=True)):
            name = "ab"[place % 2]
            disks[name] += bytes(gap * SECTOR_BYTES)
            segments.append(DeviceSegment(name, len(disks[name]), end - begin))
            disks[name] += content[begin:end]
        return segments

    segments = laid_out(made.data, ends)
    origin = laid_out(made.origin or b"", [end for end in ends if end < whole])

    assert applied(made, segments, origin, disks) == made.content()


def test_a_block_past_the_end_is_refused() -> None:
    made = Made({0: 0, 1: 5}, 2 * UNIT, noise(2, 1), None)

    with pytest.raises(InputError, match="block 1 of the volume is in data block 5, which is past"):
        linear_targets(made.layout(), [DeviceSegment("a", 0, 2 * UNIT)], [])


def test_segments_that_are_too_short_are_refused() -> None:
    made = Made({0: 0, 1: 1}, 2 * UNIT, noise(2, 1), None)

    with pytest.raises(InputError, match="past the end of the data device"):
        linear_targets(made.layout(), [DeviceSegment("a", 0, UNIT)], [])


def test_segments_have_whole_sectors() -> None:
    made = Made({0: 0}, UNIT, noise(1, 1), None)

    with pytest.raises(InputError, match="does not begin and end at a sector"):
        linear_targets(made.layout(), [DeviceSegment("a", 100, UNIT)], [])
