"""`thinmeta diff --files`: what `docker diff` printed of real containers, and what is refused."""

import base64
import json
import mmap
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import OwnImage, Thinmeta
from tests.docker_cases import ODD, docker_words
from thinmeta.errors import ExitCode

CASES = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")
CONTAINERS = [(case, name) for case in CASES for name in ("dead1", "runner")] + [(ODD, "odd")]


def recorded(case: str, name: str) -> list[bytes]:
    """Return what `docker diff` printed, a change each, in the order of the paths' names."""
    changes: list[bytes] = []
    for line in (FIXTURES / case / f"docker-diff-{name}.txt").read_bytes().splitlines():
        if line[:3] in (b"A /", b"C /", b"D /"):
            changes.append(line)
        else:  # the name has a line end
            changes[-1] += b"\n" + line
    return sorted(changes, key=lambda change: change[2:].split(b"/"))


def text_of(change: bytes) -> str:
    """Return a recorded change as it is shown; JSON had lost the byte of a name."""
    return change.decode().replace("\n", r"\x0a").replace("\ufffd", r"\xe9")


@pytest.mark.parametrize(("case", "name"), CONTAINERS)
def test_a_container_changed_what_docker_diff_printed(
    case: str, name: str, thinmeta: Thinmeta
) -> None:
    result = thinmeta("diff", "--files", f"{name}-init", name, *docker_words(case))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    shown = sorted(result.stdout.splitlines())
    assert shown == sorted(map(text_of, recorded(case, name)))


@pytest.mark.parametrize(("case", "name"), CONTAINERS)
def test_json_says_the_same_and_what_differs(case: str, name: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "--files", f"{name}-init", name, "-f", "json", *docker_words(case))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    letters = {"added": "A", "changed": "C", "removed": "D"}
    shown = [f"{letters[each['change']]} ".encode() + path(each) for each in found]
    as_recorded = [change.replace(b"\xef\xbf\xbd", b"\xe9") for change in recorded(case, name)]
    assert sorted(shown) == sorted(as_recorded)
    assert shown == sorted(shown, key=lambda change: change[2:].split(b"/"))
    for each in found:
        assert (each["left"] is None, each["right"] is None) == (
            each["change"] == "added",
            each["change"] == "removed",
        )
        assert not each["what"] or each["change"] == "changed"
    by_path = {each["path"]: each for each in found}
    if name == "dead1":
        changed = by_path["/tmp/1.txt"]
        assert changed["what"] == ["mtime", "size"]
        assert (changed["left"]["size"], changed["right"]["size"]) == (4, 11)
    if name == "odd":
        assert by_path["/change/mode"]["what"] == ["mode"]
        assert by_path["/change/owner"]["what"] == ["owner"]
        assert by_path["/change/to-folder"]["what"][:1] == ["type"]
        assert by_path["/change/time"]["what"] == ["mtime"]


def path(change: dict[str, Any]) -> bytes:
    if "path_raw" in change:
        return base64.b64decode(change["path_raw"])
    found: str = change["path"]
    return found.encode()


def test_a_volume_is_equal_to_itself(thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "--files", 25, 25, *docker_words(CASES[0]))

    assert (result.exit_code, result.stdout, result.stderr) == (ExitCode.DONE, "", "")


@pytest.mark.parametrize("case", CASES)
def test_the_other_way_round_what_was_added_is_removed(case: str, thinmeta: Thinmeta) -> None:
    there, back = (
        thinmeta("diff", "--files", *pair, *docker_words(case)).stdout.splitlines()
        for pair in (("dead1-init", "dead1"), ("dead1", "dead1-init"))
    )

    swapped = {"A": "D", "D": "A", "C": "C"}
    assert [f"{swapped[line[0]]}{line[1:]}" for line in there] == back


def test_where_one_is_not_dockers_paths_begin_at_the_root_of_either(thinmeta: Thinmeta) -> None:
    lines = thinmeta("diff", "--files", 1, 2, *docker_words(CASES[0])).stdout.splitlines()

    assert lines[:3] == ["A /id", "A /rootfs", "A /rootfs/bin"]
    assert {line[0] for line in lines} == {"A"}


def test_a_directory_of_one_device_that_is_lost_is_told_and_is_no_change(
    own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    data = own_image(CASES[0], "data")
    with data.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        place = -1
        while (place := content.find(b"secret.txt", place + 1)) >= 0:
            start = place // 4096 * 4096  # the block of /root, or of the journal
            content[start : start + 4096] = bytes(4096)
    more = ["-p", unpacked(CASES[0]), "--data", data]

    for pair in ((24, 25), (25, 24)):
        result = thinmeta("diff", "--files", *pair, *more)

        assert result.exit_code == ExitCode.SALVAGED
        assert "device 25: /root: " in result.stderr
        assert "device 24" not in result.stderr
        assert "/root" not in result.stdout
        assert "C /tmp/1.txt\n" in result.stdout


def test_a_device_whose_mappings_are_lost_is_refused(
    own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    metadata = own_image(CASES[0])
    with metadata.open("r+b") as file:
        file.seek(85 * 4096)  # the mappings of device 2
        file.write(bytes(4096))
    line = ("diff", "--files", 2, 4, "-p", metadata, "--data", unpacked(CASES[0], "data"))

    assert thinmeta(*line).exit_code == ExitCode.DAMAGE
    result = thinmeta(*line, "--salvage")
    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")


@pytest.mark.parametrize(
    "more",
    [
        ("-f", "xml"),
        ("-f", "csv"),
        ("--compat", "0.9"),
        ("--compat", "1.1"),
        ("--only", "added"),
        ("--summary",),
        ("--verbose",),
    ],
    ids=" ".join,
)
def test_what_is_of_blocks_does_not_go_with_files(
    more: tuple[str, ...], thinmeta: Thinmeta
) -> None:
    result = thinmeta("diff", "--files", 24, 25, *docker_words(CASES[0]), *more)

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "--files" in result.stderr


@pytest.mark.parametrize(
    "more",
    [
        ("--data", "data.img"),
        ("--origin", "data.img"),
        ("--size", "1M"),
        ("--no-replay",),
        ("--partition", "1"),
        ("--inside", "vg/lv"),
    ],
    ids=" ".join,
)
def test_what_is_of_files_does_not_go_with_blocks(
    more: tuple[str, ...], thinmeta: Thinmeta
) -> None:
    result = thinmeta("diff", 24, 25, "-p", unpacked(CASES[0]), *more)

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert result.stderr.endswith(f"Error: {more[0]} only goes with --files\n")


def test_both_devices_are_needed(thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "--files", "dead1", *docker_words(CASES[0]))

    assert result.exit_code == ExitCode.USAGE
    assert "Missing argument 'RIGHT'" in result.stderr
