"""The map of a rescue, against a slow model, and as GNU ddrescue's manual describes it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.device.rescue_map import MapPart, RescueMap, Status

SIZE = 40


@examples(200)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, SIZE - 1),
            st.integers(1, SIZE),
            st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 5)), max_size=3),
        ),
        max_size=6,
    )
)
def test_it_says_of_each_byte_what_was_said_last(
    steps: list[tuple[int, int, list[tuple[int, int]]]],
) -> None:
    rescue_map = RescueMap.new("a volume", SIZE)
    model = ["?"] * SIZE
    for begin, length, bad in steps:
        end = min(begin + length, SIZE)
        spans: list[tuple[int, int]] = []
        for first, size in sorted(bad):
            low, high = max(first, spans[-1][1] if spans else begin), min(first + size, end)
            if begin <= low < high:
                spans.append((low, high))
        model[begin:end] = "+" * (end - begin)
        for low, high in spans:
            model[low:high] = "-" * (high - low)

        rescue_map.finish(begin, end, spans)

        again = RescueMap.parse(str(rescue_map).splitlines())
        assert expanded(again) == expanded(rescue_map) == model
        assert [part.status for part in again.parts] == [
            status
            for at, status in enumerate(map(Status, model))
            if not at or model[at - 1] != status.value
        ]
    covered = {at for span in rescue_map.unfinished() for at in range(*span)}
    assert covered == {at for at, status in enumerate(model) if status != "+"}
    assert sum(rescue_map.bytes_of(status) for status in Status) == rescue_map.size == SIZE


def expanded(rescue_map: RescueMap) -> list[str]:
    return [part.status.value for part in rescue_map.parts for _ in range(part.end - part.begin)]


TEXT = """\
# Mapfile in the format of GNU ddrescue. Created by thinmeta extract --salvage
# Of: a volume
# current_pos  current_status  current_pass
0x00002000     ?               1
#      pos        size  status
0x00000000  0x00001000  +
0x00001000  0x00001000  -
0x00002000  0x00002000  ?
"""


def test_it_is_written_as_the_manual_says() -> None:
    rescue_map = RescueMap.new("a volume", 0x4000)
    rescue_map.finish(0, 0x2000, [(0x1000, 0x2000)])

    assert str(rescue_map) == TEXT
    assert RescueMap.parse(TEXT.splitlines()).subject == "a volume"


def test_ddrescuelog_takes_it(tmp_path: Path) -> None:
    tool = shutil.which("ddrescuelog")
    if tool is None:
        pytest.skip("ddrescuelog is not installed")
    (tmp_path / "map").write_text(TEXT)

    shown = subprocess.run(
        [tool, "-t", tmp_path / "map"], capture_output=True, text=True, check=True
    )

    assert "bad-sector" in shown.stdout


def test_what_ddrescue_itself_writes_is_read() -> None:
    """As in the example of its manual, where `*` and `/` are between not tried and bad."""
    text = (
        "# Mapfile. Created by GNU ddrescue version 1.27\n"
        "# current_pos  current_status  current_pass\n"
        "0x00120000     ?               1\n"
        "#      pos        size  status\n"
        "0x00000000  0x00117000  +\n"
        "0x00117000  0x00000200  -\n"
        "0x00117200  0x00001000  /\n"
        "0x00118200  0x00007E00  *\n"
        "0x00120000  0x00048000  ?\n"
    )

    rescue_map = RescueMap.parse(text.splitlines())

    assert rescue_map.parts[:2] == [
        MapPart(0, 0x117000, Status.FINISHED),
        MapPart(0x117000, 0x117200, Status.BAD),
    ]
    assert {part.status for part in rescue_map.parts[2:]} == {Status.NON_TRIED}
    assert rescue_map.size == 0x168000


@pytest.mark.parametrize(
    "text",
    ["0 ? 1\n0x0 0x10 +\n0x20 0x10 +\n", "0 ? 1\n0x0 0x0 +\n", "0 ? 1\nzero 1 +\n", "0 ? 1\n0x0\n"],
)
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        RescueMap.parse(text.splitlines())
