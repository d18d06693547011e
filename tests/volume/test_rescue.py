"""A rescue that is cut short goes on where it was."""

import os
from pathlib import Path

import pytest

from tests.volume.volumes import UNIT, Made, noise
from thinmeta.device.extents import Extents
from thinmeta.device.inputs import Inputs
from thinmeta.device.rescue_map import RescueMap, Status
from thinmeta.errors import OutputError
from thinmeta.volume import extract
from thinmeta.volume.rescue import open_rescue
from thinmeta.volume.sources import Unreadable
from thinmeta.volume.subject import Sample, Subject

MADE = Made(dict(enumerate(range(12))), 16 * UNIT, noise(10, 1), noise(16, 2), ((13, 14),))


SAMPLE_BYTES = 512
"""What is compared with the output before a run goes on, here and there."""

DATA = Sample(5, "01", "23", "45")
SUBJECT = Subject("a volume", "a superblock", DATA, Sample(7, "67", "89", "ab"))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_WINDOW", 2 * UNIT)


class Interrupted(BaseException):
    """What a signal raises."""


def run(path: Path, made: Made = MADE, *, most: int = 2**60) -> list[Unreadable]:
    """Rescue until `most` bytes were done."""
    told: list[Unreadable] = []
    done = 0

    def advance(size: int, _total: int) -> None:
        nonlocal done
        done += size
        if done > most:
            raise Interrupted

    sources = made.sources()
    try:
        with open_rescue(path, SUBJECT, made.size, Inputs()) as rescue:
            rescue.run(made.layout(), sources, on_unreadable=told.append, on_progress=advance)
    finally:
        sources.close()
    return told


def map_of(path: Path) -> RescueMap:
    return RescueMap.parse((path.with_name(f"{path.name}.map").read_text()).splitlines())


def test_what_is_lost_is_mapped(tmp_path: Path) -> None:
    told = run(tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == MADE.content()
    parts = map_of(tmp_path / "out").parts
    bad = [(part.begin, part.end) for part in parts if part.status is Status.BAD]
    assert bad == [(10 * UNIT, 12 * UNIT), (13 * UNIT, 14 * UNIT)]
    assert {part.status for part in parts} == {Status.BAD, Status.FINISHED}
    assert sum(each.length for each in told) == 3 * UNIT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.map"]


@pytest.mark.parametrize("most", range(0, 16 * UNIT, UNIT))
def test_a_second_run_goes_on(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(path, most=most)
    before = map_of(path)
    finished = {
        at
        for part in before.parts
        if part.status is Status.FINISHED
        for at in range(part.begin, part.end, UNIT)
    }
    read: list[int] = []
    plain = Extents.read_into

    def watched(self: Extents, buffer: memoryview, offset: int) -> int:
        if self.name == "data" and len(buffer) > SAMPLE_BYTES:
            read.append(offset)
        return plain(self, buffer, offset)

    monkeypatch.setattr(Extents, "read_into", watched)
    monkeypatch.setattr("os.copy_file_range", None)
    monkeypatch.setattr(extract._Copier, "_copy_in_kernel", lambda *args: args[2])

    run(path)

    assert path.read_bytes() == MADE.content()
    assert before.bytes_of(Status.NON_TRIED) <= MADE.size - most + 4 * UNIT
    assert finished & set(read) == set()
    assert map_of(path).bytes_of(Status.NON_TRIED) == 0


def test_what_was_bad_is_tried_again(tmp_path: Path) -> None:
    run(tmp_path / "out")
    healed = Made(MADE.mappings, MADE.size, noise(12, 1), MADE.origin)

    assert run(tmp_path / "out", healed) == []
    assert (tmp_path / "out").read_bytes() == healed.content()
    assert map_of(tmp_path / "out").unfinished() == []


def test_a_run_with_nothing_to_do_reads_nothing(tmp_path: Path) -> None:
    sound = Made({0: 0}, 4 * UNIT, noise(1, 1), None)
    run(tmp_path / "out", sound)

    assert run(tmp_path / "out", sound, most=-1) == []


def refused(path: Path, subject: Subject = SUBJECT, size: int = MADE.size) -> str:
    with pytest.raises(OutputError) as raised, open_rescue(path, subject, size, Inputs()):
        pass
    return str(raised.value)


def test_a_file_that_nobody_began_to_rescue_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"precious")

    assert "is there, but" in refused(path)
    assert path.read_bytes() == b"precious"


def test_a_map_alone_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "out")
    (tmp_path / "out").unlink()

    assert "out.map: is there, but" in refused(tmp_path / "out")


@pytest.mark.parametrize("size", [0, 1, MADE.size - 1, MADE.size + UNIT])
def test_an_image_of_another_size_than_its_map_is_refused(size: int, tmp_path: Path) -> None:
    """What a copy left out would be zeros that the map takes for rescued."""
    path = tmp_path / "out"
    run(path)
    map_before = (tmp_path / "out.map").read_text()
    os.truncate(path, size)

    said = refused(path)

    assert said.startswith(f"{path}: has {size} bytes, and {path}.map is of {MADE.size}: ")
    assert path.stat().st_size == size
    assert (tmp_path / "out.map").read_text() == map_before


def test_another_output_is_refused_wherever_its_data_begins(tmp_path: Path) -> None:
    """A volume is zeros where it begins, as ext4 is; so is an output never written."""
    path = tmp_path / "out"
    begins_late = Made({0: 0, 1: 1, 2: 2}, 4 * UNIT, bytes(UNIT) + noise(2, 1), None)
    run(path, begins_late)
    path.write_bytes(bytes(begins_late.size))

    with pytest.raises(OutputError, match=r"out\.map: what it says is finished at byte"):
        run(path, begins_late)

    assert path.read_bytes() == bytes(begins_late.size)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_map_is_not_the_output(is_link: bool, tmp_path: Path) -> None:
    path, map_path = tmp_path / "out", tmp_path / ("link" if is_link else "out")
    if is_link:
        map_path.symlink_to(path)

    with (
        pytest.raises(OutputError, match="is the output itself"),
        open_rescue(path, SUBJECT, MADE.size, Inputs(), map_path=map_path),
    ):
        pass

    assert not path.exists()


def test_a_file_too_large_for_a_map_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "out.map").open("wb") as file:
        file.truncate(1 << 40)

    assert "so it is no map of a rescue" in refused(tmp_path / "out")


@pytest.mark.parametrize(
    ("subject", "size"),
    [
        (SUBJECT._replace(volume="another"), MADE.size),
        (SUBJECT._replace(metadata="another"), MADE.size),
        (SUBJECT._replace(data=DATA._replace(size=6)), MADE.size),
        (SUBJECT._replace(data=DATA._replace(first="00")), MADE.size),
        (SUBJECT._replace(data=DATA._replace(last="00")), MADE.size),
        (SUBJECT._replace(data=DATA._replace(between="00")), MADE.size),
        (SUBJECT._replace(origin=None), MADE.size),
        (SUBJECT._replace(origin=DATA), MADE.size),
        (SUBJECT, 5),
    ],
)
def test_the_map_of_another_volume_is_refused(subject: Subject, size: int, tmp_path: Path) -> None:
    run(tmp_path / "out")
    before = (tmp_path / "out").read_bytes()

    assert "is the map of something else" in refused(tmp_path / "out", subject, size)
    assert (tmp_path / "out").read_bytes() == before


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.map").write_bytes(b"\xff\xfe\n\n0 1\n2 3 4\n")

    assert "is no map of a rescue" in refused(tmp_path / "out")


def test_an_empty_volume_is_rescued(tmp_path: Path) -> None:
    empty = Made({}, 0, b"", None)

    assert run(tmp_path / "out", empty) == []
    assert run(tmp_path / "out", empty) == []
