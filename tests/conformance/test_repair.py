"""`dump --repair` is thin_dump's wherever that is right; `docs/repair.md` says where not."""

import subprocess
from pathlib import Path

import pytest

from tests.anatomy import Anatomy
from tests.cases import Recorded, image_bytes, image_names, recorded, unpacked
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.damage import BLOCK, DamagedImage, ImageFile

RUNS = [
    each
    for each in recorded("thin_dump")
    if each.version == "1.1.0" and {"-r", "--repair"} & set(each.args)
]

# Without a superblock: what thin_dump does otherwise, and why it is not to be followed.
OTHERWISE = {
    ("a01-empty-pool", "meta"): "an empty pool: nothing is left of it but zeros and empty leaves",
    ("a13-metadata-snapshot-held", "meta-live-at-reserve"): "a held copy has the transaction id",
    ("a20-transaction-ids", "meta"): "an older state without devices",
}

# Pools of which each node is damaged in turn.
DAMAGED = [("a09-discards-and-deletes", "meta"), ("a13-metadata-snapshot-held", "meta")]


def thin_dump_repair(*args: object) -> tuple[int, bytes]:
    ran = subprocess.run(
        [reference_tools.FOLDER / "1.1.0/thin_dump", "-r", *map(str, args)],
        capture_output=True,
        check=False,
    )
    return ran.returncode, ran.stdout


def test_there_are_runs() -> None:
    assert len(RUNS) == len(image_names())


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_sound_pool_is_dumped_as_it_is(run: Recorded, thinmeta: Thinmeta) -> None:
    result = thinmeta("dump", "--repair", run.image_path())

    assert (result.exit_code, result.stderr) == (0, "")
    if run.exit_code == 0:
        assert result.stdout_bytes == run.stdout()
    else:
        assert run.case == "a01-empty-pool"
        assert result.stdout_bytes == thinmeta("dump", run.image_path()).stdout_bytes


@pytest.mark.live
@pytest.mark.parametrize(("case", "image"), image_names())
def test_without_a_superblock_it_is_thin_dumps(
    case: str, image: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    content = image_bytes(case, image)
    sectors = int.from_bytes(content[336:340], "little")
    path = tmp_path / "meta.bin"
    path.write_bytes(bytes(BLOCK) + content[BLOCK:])
    args = ("--data-block-size", sectors, path)

    result = thinmeta("dump", "--repair", *args)

    exit_code, expected = thin_dump_repair(*args)
    if (case, image) in OTHERWISE:
        assert result.stdout_bytes != expected or exit_code
    else:
        assert result.exit_code == exit_code == 0
        assert result.stdout_bytes == expected


@pytest.mark.live
@pytest.mark.parametrize(("case", "image"), DAMAGED)
def test_a_bad_node_costs_what_it_held_and_no_more(
    case: str, image: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """thin_dump goes back to an older state that is whole, or gives up."""
    anatomy = Anatomy.of(case, image)
    damaged = DamagedImage.of(case, image)
    file = ImageFile(tmp_path / "meta.bin", damaged)
    sound = thinmeta("dump", unpacked(case, image)).stdout_bytes
    for block in anatomy.nodes():
        damaged.block(block)[50] ^= 1
        with file.damaged() as path:
            result = thinmeta("dump", "--repair", path)
            salvaged = thinmeta("dump", "--salvage", path)
        if block in {place.block for place in anatomy.devices if place.is_root}:
            # Proven by reference counts where devices differ in size.
            assert result.exit_code == 0
            assert result.stdout_bytes == sound
        elif block in {place.block for place in anatomy.details if place.is_root}:
            assert result.stdout_bytes.count(b"<device") == len(anatomy.device_ids)
        else:
            hit = [place for place in anatomy.mapping_places() if place.block == block]
            nothing = hit and all(not anatomy.mapped_blocks(each.device_id or 0) for each in hit)
            is_proven = "are proven by " in salvaged.stderr
            assert salvaged.exit_code == (0 if nothing or is_proven else 6)
            assert not is_proven or salvaged.stdout_bytes == sound
            assert result.exit_code == salvaged.exit_code
            assert result.stdout_bytes == salvaged.stdout_bytes
