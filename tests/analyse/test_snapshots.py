"""The forest of snapshots against what the kernel was told when the fixtures were made."""

import json
import re
from pathlib import Path

import pytest

from tests.analyse.shared_pools import ModelDevice, image_of, pool_over
from tests.cases import FIXTURES, unpacked
from thinmeta.analyse.snapshots import Basis, Snapshot, snapshots
from thinmeta.model.pool import open_pool

GONE = -1

# A snapshot of a device that maps nothing is nowhere to be told from a new device.
UNKNOWABLE = {("a20-transaction-ids", 3)}

_MESSAGE = re.compile(
    r'"(?:create_thin (?P<thin>\d+)|create_snap (?P<snap>\d+) (?P<origin>\d+)'
    r'|delete (?P<gone>\d+))"\n(?!# \^ rc=)'
)

LVM = {1: None, 2: None, 3: 2, 4: 2, 5: 4, 7: None}


def docker_told(root: Path) -> dict[int, int | None]:
    """Return each device's origin as Docker's own records say: layers, and containers on them."""
    metadata = root / "devicemapper" / "metadata"
    device_ids: dict[str, int] = {
        record.name: json.loads(record.read_text())["device_id"]
        for record in metadata.iterdir()
        if record.name not in {"deviceset-metadata", "transaction-metadata"}
    }
    layerdb = root / "image" / "devicemapper" / "layerdb"
    layers = {f"sha256:{folder.name}": folder for folder in (layerdb / "sha256").iterdir()}

    def device(folder: Path, name: str) -> int:
        return device_ids[(folder / name).read_text().strip()]

    def below(folder: Path) -> int:
        if not (parent := folder / "parent").exists():
            return device_ids["base"]
        return device(layers[parent.read_text().strip()], "cache-id")

    origins: dict[int, int | None] = {device_ids["base"]: None}
    for layer in layers.values():
        origins[device(layer, "cache-id")] = below(layer)
    for mount in (layerdb / "mounts").iterdir():
        origins[device(mount, "init-id")] = below(mount)
        origins[device(mount, "mount-id")] = device(mount, "init-id")
    return origins


def told(case: str) -> dict[int, int | None]:
    """Return each device's origin as the commands say."""
    if case.startswith("docker"):
        return docker_told(FIXTURES / case / "docker-state")
    if case.startswith("c01"):
        return dict(LVM)
    origins: dict[int, int | None] = {}
    for message in _MESSAGE.finditer((FIXTURES / case / "commands.sh").read_text()):
        if message["thin"]:
            origins[int(message["thin"])] = None
        elif message["snap"]:
            origins[int(message["snap"])] = int(message["origin"])
        else:
            gone = int(message["gone"])
            origins.pop(gone, None)
            origins = {
                device: GONE if origin == gone else origin for device, origin in origins.items()
            }
    return origins


CASES = sorted(path.parent.name for path in FIXTURES.glob("*/commands.sh"))


def test_enough_snapshots_are_known() -> None:
    assert sum(origin is not None for case in CASES for origin in told(case).values()) >= 50


@pytest.mark.parametrize("case", CASES)
def test_origins_are_right(case: str) -> None:
    origins = told(case)
    with open_pool(unpacked(case)) as pool:
        found = snapshots(pool)

    for each in found:
        device_id = each.usage.device.device_id
        if device_id not in origins or (case, device_id) in UNKNOWABLE:
            continue
        origin = origins[device_id]
        assert each.parent_id == (None if origin == GONE else origin), device_id
        assert each.is_snapshot == (origin is not None), device_id


def forest(pool: dict[int, ModelDevice]) -> dict[int, Snapshot]:
    with pool_over(image_of(pool)) as opened:
        return {each.usage.device.device_id: each for each in snapshots(opened)}


def test_the_clock_tells_the_origin() -> None:
    old = {0: (10, 0), 1: (11, 0)}
    found = forest({1: ModelDevice(0, 1, old), 2: ModelDevice(1, 1, old | {2: (12, 1)})})

    assert (found[2].parent_id, found[2].basis) == (1, Basis.CLOCK)
    assert (found[1].parent_id, found[1].is_snapshot) == (None, False)


def test_a_device_that_contradicts_is_no_origin() -> None:
    # 1 was written at time 1, after its snapshot 2; 3 comes from 2, not from 1.
    first = {0: (10, 0), 1: (11, 0)}
    found = forest(
        {
            1: ModelDevice(0, 5, first | {1: (13, 1)}),
            2: ModelDevice(1, 4, first),
            3: ModelDevice(2, 2, first),
        }
    )

    assert (found[3].parent_id, found[3].basis) == (2, Basis.SHARING)


def test_where_the_origin_is_gone_the_closest_is_named() -> None:
    old = {block: (10 + block, 0) for block in range(4)}
    found = forest(
        {
            2: ModelDevice(1, 1, old | {0: (30, 1)}),
            3: ModelDevice(2, 2, old),
            4: ModelDevice(3, 3, {3: old[3]}),
        }
    )

    assert all(each.parent_id is None and each.is_snapshot for each in found.values())
    assert {device_id: each.shares_with for device_id, each in found.items()} == {2: 3, 3: 2, 4: 3}


def test_a_new_device_made_at_the_time_of_a_snapshot_is_none() -> None:
    old = {0: (10, 0)}
    found = forest(
        {
            1: ModelDevice(0, 1, old),
            2: ModelDevice(1, 1, old),
            3: ModelDevice(1, 1, {0: (20, 1)}),
        }
    )

    assert (found[3].parent_id, found[3].is_snapshot) == (None, False)
