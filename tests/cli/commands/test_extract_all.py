"""`thinmeta extract --all`: every volume to a file of its name, whatever becomes of the others."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.lvm.lvm_disks import real_disk
from tests.names.docker_roots import CASES, state_of
from thinmeta.errors import ExitCode

CASE = "a19-device-id-reuse"


def truth() -> dict[int, str]:
    """Return the hashes of what the kernel read of each device, by its id."""
    lines = (FIXTURES / CASE / "truth/thin-devices.sha256").read_text().splitlines()
    return {int(device_id): each for each, device_id, _ in map(str.split, lines)}


def digest(path: Path, size: int) -> str:
    """Return the hash of a file that ends with the last block, as that of a larger one."""
    content = path.read_bytes()
    return hashlib.sha256(content + bytes(size - len(content))).hexdigest()


def rows(stdout: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stdout.splitlines()]
    assert found.pop() == {"type": "end"}
    return found


def words(metadata: Path, *more: object, folder: str = "out") -> list[object]:
    return ["extract", "--all", folder, "-p", metadata, "--data", unpacked(CASE, "data"), *more]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_is_what_the_kernel_read(here: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta(*words(unpacked(CASE), "-f", "json"))

    assert result.exit_code == ExitCode.DONE, result.stderr
    found = rows(result.stdout)
    known = truth()
    assert [each["device_id"] for each in found] == sorted(known)
    assert {path.name for path in (here / "out").iterdir()} == {each["file"] for each in found}
    for each in found:
        assert (each["written"], each["whole"], each["lost_bytes"]) == (True, True, 0)
        assert digest(here / "out" / each["file"], 24 << 20) == known[each["device_id"]]


def test_a_volume_that_is_bad_stops_no_other(here: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    anatomy = Anatomy.of(CASE)
    bad = anatomy.device_ids[0]
    image.zero(anatomy.leaves(bad)[0].block)
    path = image.write_to(here / "meta.bin")
    with_it = {each for each in anatomy.device_ids if _has(anatomy, each, bad)}

    result = thinmeta(*words(path, "-f", "json"))
    salvaged = thinmeta(*words(path, "-f", "json", "--salvage", folder="rescued"))

    assert (result.exit_code, salvaged.exit_code) == (ExitCode.DAMAGE, ExitCode.SALVAGED)
    said = f"{len(with_it)} of {len(anatomy.device_ids)} volumes were not written whole"
    for each in (result, salvaged):
        assert said in each.stderr.splitlines()[-1]
    for row in rows(result.stdout):
        assert row["written"] == row["whole"] == (row["device_id"] not in with_it)
        assert ("metadata block" in (row["error"] or "")) == (row["device_id"] in with_it)
    for row in rows(salvaged.stdout):
        assert (row["written"], row["whole"]) == (True, row["device_id"] not in with_it)
        file = here / "rescued" / row["file"]
        assert file.with_name(f"{file.name}.map").exists()
        if row["whole"]:
            assert digest(file, 24 << 20) == truth()[row["device_id"]]


def _has(anatomy: Anatomy, device_id: int, other: int) -> bool:
    block = anatomy.leaves(other)[0].block
    return any(leaf.block == block for leaf in anatomy.leaves(device_id))


def test_a_device_without_details_is_not_written_as_a_sound_one(
    here: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.of(CASE)
    details = Anatomy.of(CASE).details[-1].block
    image.remove_entry(details, 0)
    image.restamp(details)
    path = image.write_to(here / "meta.bin")

    result = thinmeta(*words(path))
    salvaged = thinmeta(*words(path, "--salvage", folder="rescued"))

    assert (result.exit_code, salvaged.exit_code) == (ExitCode.DAMAGE, ExitCode.SALVAGED)
    assert "its details are lost" in result.stdout


def test_a_list_of_devices_that_is_lost_is_said(here: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    image.zero(Anatomy.of(CASE).details[0].block)
    path = image.write_to(here / "meta.bin")

    result = thinmeta(*words(path))

    assert result.exit_code == ExitCode.DAMAGE
    assert "Error: " in result.stderr


@pytest.mark.parametrize("state", [(), ("--state", "124:126")])
def test_lvms_names_are_those_of_the_files(
    state: tuple[str, ...], here: Path, thinmeta: Thinmeta
) -> None:
    lvm = ("--lvm", real_disk(), "--lv", "vgthin/pool0")

    result = thinmeta("extract", "--all", "out", *lvm, *state)

    assert result.exit_code == ExitCode.DONE, result.stderr
    sizes = {path.name: path.stat().st_size for path in (here / "out").iterdir()}
    assert sizes["vgthin%2Fhome"] == 200 << 20
    assert ("vgthin%2Fjunk%2316" in sizes) == bool(state)
    assert ("vgthin%2Fnewname" in sizes) != bool(state)
    listed = [line.split() for line in result.stdout.splitlines()[1:]]
    assert {line[3]: int(line[1]) for line in listed} == sizes


@pytest.mark.thorough
def test_dockers_names_are_those_of_the_files(here: Path, thinmeta: Thinmeta) -> None:
    case = CASES[1]
    where = (
        "-p",
        unpacked(case),
        "--docker-root",
        state_of(case),
        "--data",
        unpacked(case, "data"),
    )

    result = thinmeta("extract", "--all", "out", *where, "-f", "json", "-q")

    assert result.exit_code == ExitCode.DONE, result.stderr
    names = {each["name"]: each["file"] for each in rows(result.stdout)}
    assert (names["dead1"], names["demo:latest"]) == ("dead1", "demo%3Alatest")


def test_what_is_in_the_way_is_left_as_it_is(here: Path, thinmeta: Thinmeta) -> None:
    """A link that leads out of the folder, and a folder where a file goes."""
    (here / "out").mkdir()
    (here / "elsewhere").write_text("kept")
    first, second, *_ = truth()
    (here / "out" / str(first)).symlink_to("../elsewhere")
    (here / "out" / str(second)).mkdir()

    result = thinmeta(*words(unpacked(CASE), "-f", "json"))

    assert result.exit_code == ExitCode.OTHER
    assert (here / "elsewhere").read_text() == "kept"
    bad = {each["device_id"] for each in rows(result.stdout) if not each["written"]}
    assert bad == {first, second}


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["1", "--all", "out"], "--all takes no DEVICE"),
        (["--all", "out", "-o", "x"], "does not go with --all"),
        (["--all", "out", "--size", "1M"], "does not go with --all"),
        (["--all", "out", "--origin", "x"], "does not go with --all"),
        (["--all", "out", "--map", "x"], "does not go with --all"),
        ([], "Missing argument 'DEVICE'"),
    ],
)
def test_what_does_not_go_together(
    args: list[str], what: str, here: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta("extract", *args, "-p", unpacked(CASE), "--data", unpacked(CASE, "data"))

    assert (result.exit_code, what in result.stderr) == (ExitCode.USAGE, True), result.stderr
    assert [*here.iterdir()] == []


def test_no_folder_can_be_made_below_a_file(here: Path, thinmeta: Thinmeta) -> None:
    (here / "file").write_text("")

    result = thinmeta(*words(unpacked(CASE), folder="file"))

    assert result.exit_code == ExitCode.OTHER
    assert "Error: file: " in result.stderr


def test_what_is_read_is_not_written_over(here: Path, thinmeta: Thinmeta) -> None:
    """The pool itself lies where the file of a volume would go."""
    first = min(truth())
    (here / "out").mkdir()
    metadata = here / "out" / str(first)
    metadata.write_bytes(unpacked(CASE).read_bytes())
    before = metadata.read_bytes()

    result = thinmeta(*words(metadata, "-f", "json", "--force"))

    assert result.exit_code == ExitCode.OTHER
    assert metadata.read_bytes() == before
    (bad,) = (each for each in rows(result.stdout) if not each["written"])
    assert bad["device_id"] == first
    assert "is the input itself, which is never written to" in bad["error"]
