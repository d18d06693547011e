"""A container that `docker rm` has removed, by its old name: from a root that was kept before."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.names.docker_roots import CASES, copied
from thinmeta.errors import ExitCode

DIRECT, LOOP = CASES
ID, HASH = "c0" * 32, "d0" * 32
DEVICES = {HASH: (27, 41), f"{HASH}-init": (26, 40)}
"""What `docker run --name gone --rm` had: device ids, and the pool's transactions."""

STATE = {DIRECT: "972:974", LOOP: "1516:1520"}
"""The last one before they were removed."""


@pytest.fixture(params=CASES)
def words(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[object, ...]:
    """Return the words for a pool, and Docker's root as it was before the container was removed."""
    case = request.param
    root = copied(tmp_path / "docker", case)
    for name, (device_id, transaction_id) in DEVICES.items():
        record = {"device_id": device_id, "size": 512 << 20, "transaction_id": transaction_id + 1}
        record |= {"initialized": False, "deleted": False}
        (root / "devicemapper/metadata" / name).write_text(json.dumps(record))
    (config,) = (
        each
        for each in root.glob("containers/*/config.v2.json")
        if json.loads(each.read_text())["Name"] == "/dead1"
    )
    container = json.loads(config.read_text()) | {"ID": ID, "Name": "/gone"}
    (root / "containers" / ID).mkdir()
    (root / "containers" / ID / "config.v2.json").write_text(json.dumps(container))
    mounts = root / "image/devicemapper/layerdb/mounts"
    shutil.copytree(mounts / config.parent.name, mounts / ID)
    (mounts / ID / "mount-id").write_text(HASH)
    (mounts / ID / "init-id").write_text(f"{HASH}-init")
    return ("-p", unpacked(case), "--docker-root", root, case)


@pytest.mark.parametrize("name", ["gone", "/gone", ID, ID[:12], HASH])
def test_it_is_read_in_the_newest_state_that_has_all_of_it(
    name: str, words: tuple[object, ...], thinmeta: Thinmeta
) -> None:
    *pool, case = words
    state = STATE[str(case)]

    named = thinmeta("lookup", name, 0, *pool)
    by_id = thinmeta("lookup", f"27@{state}", 0, *pool, "-q")

    assert (named.exit_code, by_id.exit_code) == (ExitCode.DONE, ExitCode.DONE), named.stderr
    assert named.stdout.splitlines()[1:] == by_id.stdout.splitlines()[1:]
    said = "container gone is device 27, created in transaction 41"
    assert f"{said}; reading state {state}, the newest that has all of it: of its " in named.stderr
    assert "blocks others have taken 0 since" in named.stderr


def test_it_is_listed_by_its_name(words: tuple[object, ...], thinmeta: Thinmeta) -> None:
    *pool, case = words

    result = thinmeta("deleted", "-f", "json", *pool)

    found = {each.get("name"): each for each in map(json.loads, result.stdout.splitlines())}
    row = found["gone"]
    assert (row["device_id"], row["state"]) == (27, STATE[str(case)])
    assert (row["size"], row["taken_blocks"], row["whole"]) == (512 << 20, 0, True)
    assert found["gone-init"]["device_id"] == 26


def test_it_comes_back_under_its_id_and_its_name(
    words: tuple[object, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    *pool, _ = words
    new = tmp_path / "new"
    root = pool[-1]

    result = thinmeta("undelete", "gone", *pool, "-o", new)

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "gone is device 27: " in result.stdout
    table = "'0 1048576 thin /dev/mapper/POOL 27'"
    assert result.stdout.splitlines()[-1] == f"dmsetup create thin-gone --table {table}"
    checked = thinmeta("check", new)
    assert (checked.exit_code, checked.stderr) == (ExitCode.DONE, "")
    listed = thinmeta("ls", "-o", "DEV,NAME", "-p", new, "--docker-root", root)
    assert ["27", "gone"] in [line.split() for line in listed.stdout.splitlines()]


@pytest.mark.thorough
@pytest.mark.parametrize("words", [DIRECT], indirect=True)
def test_its_files_are_there(words: tuple[object, ...], thinmeta: Thinmeta) -> None:
    """What the container wrote: 32 blocks of 64 KiB. Nothing of it was discarded or taken."""
    *pool, case = words

    result = thinmeta("files", "gone", "/root", "-l", *pool, "--data", unpacked(str(case), "data"))

    assert result.exit_code == ExitCode.DONE, result.stderr
    (line,) = (each for each in result.stdout.splitlines() if each.endswith("gone.bin"))
    assert str(32 * 65536) in line.split()
