"""`thinmeta layers --files`: what Docker packed into the tar of each layer, and what is refused."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import OwnImage, Thinmeta
from tests.docker_cases import ODD, docker_words
from tests.names.docker_roots import copied
from thinmeta.errors import ExitCode

CASES = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")
LAYERS = "image/devicemapper/layerdb/sha256"
WHITEOUT = b".wh."
CHANGE = re.compile(r" {5}([ACD]) (/.*)")
LETTERS = {"added": "A", "changed": "C", "removed": "D"}


def packed(case: str, chain_id: str) -> set[bytes]:
    """Return what a layer's tar has: paths, those that it takes away with a minus."""
    found = set()
    file = FIXTURES / case / "docker-state" / LAYERS / chain_id / "tar-split.json.gz"
    for line in gzip.decompress(file.read_bytes()).splitlines():
        entry = json.loads(line)
        if entry["type"] == 1:
            raw = entry.get("name_raw")
            path = base64.b64decode(raw) if raw else entry["name"].encode()
            folder, _, name = path.removeprefix(b"./").rstrip(b"/").rpartition(b"/")
            sign = b"-" if name.startswith(WHITEOUT) else b""
            found.add(sign + b"/".join(filter(None, (folder, name.removeprefix(WHITEOUT)))))
    return found - {b""}


def objects(thinmeta: Thinmeta, *args: object) -> list[dict[str, Any]]:
    result = thinmeta("layers", "--files", *args, "-f", "json")
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("case", "image"), [*((case, "demo2") for case in CASES), (ODD, "odd:committed")]
)
def test_a_layer_changed_what_its_tar_has(case: str, image: str, thinmeta: Thinmeta) -> None:
    chain_id = device_id = None
    found: dict[str, set[bytes]] = {}
    for each in objects(thinmeta, image, *docker_words(case)):
        if each["type"] == "layer":
            chain_id, device_id = each["chain_id"], each["device_id"]
            if chain_id is not None:
                found[chain_id] = set()
        elif each["type"] == "file_change":
            assert each["device_id"] == device_id
            sign = b"-" if each["change"] == "removed" else b""
            raw = each.get("path_raw")
            path = base64.b64decode(raw) if raw else each["path"].encode()
            if sign or each["right"]["kind"] != "socket":  # no tar has them
                found[str(chain_id)].add(sign + path[1:])

    assert len(found) >= 4
    assert found == {chain: packed(case, chain) for chain in found}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["demo", "dead1"])
def test_text_is_that_of_layers_with_the_changes_of_json(
    case: str, name: str, thinmeta: Thinmeta
) -> None:
    docker = FIXTURES / case / "docker-state"
    plain = thinmeta("layers", name, "-p", unpacked(case), "--docker-root", docker)
    result = thinmeta("layers", "--files", name, *docker_words(case))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    lines = result.stdout.splitlines(keepends=True)
    assert "".join(line for line in lines if not CHANGE.match(line)) == plain.stdout
    changes = [match.groups() for line in lines if (match := CHANGE.match(line))]
    assert changes == [
        (LETTERS[each["change"]], each["path"])
        for each in objects(thinmeta, name, *docker_words(case))
        if each["type"] == "file_change"
    ]


@pytest.mark.parametrize("case", CASES)
def test_three_instructions_add_a_file_each(case: str, thinmeta: Thinmeta) -> None:
    text = thinmeta("layers", "demo", "--files", *docker_words(case)).stdout

    assert re.findall(r"COPY .* in (/tmp/\d.txt)\n     C /tmp\n     A (/tmp/\d.txt)\n", text) == [
        (f"/tmp/{number}.txt", f"/tmp/{number}.txt") for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_containers_changes_are_those_of_docker_diff(case: str, thinmeta: Thinmeta) -> None:
    text = thinmeta("layers", "dead1", "--files", *docker_words(case)).stdout

    last = text.partition("container of demo, dead: exited with 0\n")[2]
    expected = (FIXTURES / case / "docker-diff-dead1.txt").read_text().splitlines()
    assert sorted(line.strip() for line in last.splitlines()) == sorted(expected)


def test_a_device_that_nobody_knows_is_told_and_so_is_the_one_above(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    docker = copied(tmp_path / "docker", CASES[0])
    for record in docker.glob("devicemapper/metadata/*"):
        if json.loads(record.read_text()).get("device_id") == 6:
            record.unlink()
    more = ["-p", unpacked(CASES[0]), "--docker-root", docker]

    result = thinmeta("layers", "demo", "--files", "--data", unpacked(CASES[0], "data"), *more)

    assert result.exit_code == ExitCode.SALVAGED, result.stderr
    assert "b985c59b8d4d is not in the pool, nor are its files\n" in result.stderr
    why = "what it was created from is not in the pool: nobody can tell what it changed\n"
    assert f"device 8 (demo:latest): {why}" in result.stderr
    assert "A /tmp/1.txt\n" in result.stdout
    assert "A /tmp/2.txt" not in result.stdout
    assert "A /tmp/3.txt" not in result.stdout


def test_a_layer_whose_files_cannot_be_read_ends_it_with_an_error(
    own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    metadata = own_image(CASES[0])
    with metadata.open("r+b") as file:
        file.seek(85 * 4096)  # the mappings of device 2
        file.write(bytes(4096))
    docker = FIXTURES / CASES[0] / "docker-state"
    more = ["-p", metadata, "--docker-root", docker, "--data", unpacked(CASES[0], "data")]

    result = thinmeta("layers", "demo", "--files", "--salvage", *more)

    assert result.exit_code == ExitCode.INPUT
    assert "device 2: nobody can tell what is on it: " in result.stderr
    assert not re.search(CHANGE.pattern, result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--files", "--data", "data.img"], "--files shows those of an image or a container"),
        (["demo", "--data", "data.img"], "--data only goes with --files"),
        (["demo", "--no-replay"], "--no-replay only goes with --files"),
        (["demo", "--files"], "say where the data is: --data DATA"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_does_not_go_together_is_a_usage_error(
    args: list[str], why: str, thinmeta: Thinmeta
) -> None:
    docker = FIXTURES / CASES[0] / "docker-state"

    result = thinmeta("layers", *args, "-p", unpacked(CASES[0]), "--docker-root", docker)

    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert why in result.stderr
