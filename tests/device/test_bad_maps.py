"""What was never read of a copied disk: it cannot be read, and all else is as it is."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.device.bad_maps import BadMap, bad_map_of, bad_maps, known_maps
from thinmeta.device.extents import Extent, Extents, Stripes
from thinmeta.errors import InputError

SIZE = 600

# As GNU ddrescue 1.27 writes it, of a disk that it was told to begin within.
STARTED_LATE = """\
# Mapfile. Created by GNU ddrescue version 1.27
# Command line: ddrescue -q -S -i 100 -s 0x30000000 disk copy map
# current_pos  current_status  current_pass
0x00000100     +               1
#      pos        size  status
0x00000064  0x00000032  +
0x00000096  0x00000032  *
0x000000C8  0x00000032  /
0x000000FA  0x00000032  -
0x0000012C  0x00000032  ?
0x0000015E  0x00000032  +
"""


def map_text(lost: list[tuple[int, int]]) -> str:
    rows, end = ["0x0  +  1"], 0
    for begin, upto in lost:
        rows += [f"{end} {begin - end} +"] if begin > end else []
        rows += [f"{begin} {upto - begin} -"]
        end = upto
    return "\n".join([*rows, f"{end} {SIZE - end} +"] if end < SIZE else rows)


@examples(100)
@given(
    cuts=st.lists(st.integers(0, SIZE), max_size=8, unique=True),
    reads=st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, 200)), max_size=8),
)
def test_a_read_fails_where_any_of_it_is_lost(
    cuts: list[int], reads: list[tuple[int, int]]
) -> None:
    cuts = sorted(cuts[: len(cuts) // 2 * 2])
    lost = list(zip(cuts[::2], cuts[1::2], strict=True))
    is_lost = [any(begin <= at < end for begin, end in lost) for at in range(SIZE)]
    content = bytes(1 + at % 251 for at in range(SIZE))
    with tempfile.TemporaryDirectory() as folder:
        copy, path = Path(folder, "copy"), Path(folder, "map")
        copy.write_bytes(content)
        path.write_text(map_text(lost))
        with bad_maps([(copy, path)]):
            fd = os.open(copy, os.O_RDONLY)
            half = SIZE // 2
            stripes = Stripes((Extent(fd, 0, half), Extent(fd, half, half)), 50)
            plain, striped = Extents("it", [Extent(fd, 0, SIZE)]), Extents("it", [stripes])
        row = [at // 100 * 50 + at // 50 % 2 * half + at % 50 for at in range(SIZE)]
        for offset, length in reads:
            for extents, order in ((plain, list(range(SIZE))), (striped, row)):
                wanted = order[offset : offset + length]
                buffer = bytearray(length)
                if any(is_lost[at] for at in wanted):
                    with pytest.raises(OSError, match=r"was never read .*/map says"):
                        extents.read_into(memoryview(buffer), offset)
                else:
                    assert extents.read_into(memoryview(buffer), offset) == len(wanted)
                    assert buffer[: len(wanted)] == bytes(content[at] for at in wanted)
        plain.close()


def test_all_that_was_not_read_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text(STARTED_LATE)
    bad = BadMap.read(path)
    assert [bad.beginning(at, 1000) for at in (0, 100, 150, 349, 350, 399, 400)] == [
        *((True, 100), (False, 50), (True, 50), (True, 1), (False, 50), (False, 1)),
        (True, 1000),
    ]


def test_a_file_is_known_by_any_name_and_only_meanwhile(tmp_path: Path) -> None:
    copy, path, link = tmp_path / "copy", tmp_path / "copy.map", tmp_path / "link"
    copy.write_bytes(bytes(SIZE))
    path.write_text(map_text([(0, 10)]))
    link.hardlink_to(copy)
    with bad_maps([(copy, path)]):
        assert str(bad_map_of(link)).endswith(f"as {path} says")
        assert known_maps() == [path]
        assert bad_map_of(path) is None
    assert bad_map_of(link) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", None),
        ("0 + 1\n0 10 +\n20 10 +\n", "does not follow the one before it"),
        ("0 + 1\n0 x +\n", "is no map of GNU ddrescue"),
        ("0 + 1\n0 1\n", "is no range"),
    ],
)
def test_a_map_that_is_none_is_refused(text: str, why: str | None, tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text(text)
    if why is None:  # it speaks of nothing, so that nothing was read
        assert BadMap.read(path).beginning(0, 5) == (True, 5)
        return
    with pytest.raises(InputError, match=why):
        BadMap.read(path)


def test_what_cannot_have_a_map_is_refused(tmp_path: Path) -> None:
    copy, path = tmp_path / "copy", tmp_path / "map"
    copy.write_bytes(b"\x1f\x8b\x08\0")
    path.write_text(map_text([]))
    with pytest.raises(InputError, match="is compressed"), bad_maps([(copy, path)]):
        pass
    with pytest.raises(InputError, match="no such file"), bad_maps([(tmp_path / "no", path)]):
        pass
    with pytest.raises(InputError, match="there is no such file"), bad_maps([(path, tmp_path)]):
        pass
