"""What `dump --salvage` prints is taken by thin_restore, and thin_check finds nothing to say."""

from pathlib import Path

import pytest

from tests.anatomy import Anatomy
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.damage import DamagedImage, ImageFile
from tests.salvage.corpus import DELETES, DOCKER, REUSED, SNAPSHOTS, destroyed, misled
from tests.salvage.remains import Remains, mappings_by_device
from tests.salvage.test_devices import without_details, without_mappings

pytestmark = pytest.mark.live


def assert_restored(path: Path, remains: Remains, thinmeta: Thinmeta) -> None:
    """Restore the dump with both versions; assert that each is sound and what the model says."""
    for version in reference_tools.VERSIONS:
        xml, restored = path.with_suffix(".xml"), path.with_suffix(".restored")
        dumped = thinmeta(
            "dump", "--salvage", "--compat", version.removesuffix(".0"), path, "-o", xml
        )
        assert dumped.exit_code in (0, 6), dumped.stderr
        with restored.open("wb") as file:
            file.truncate(8 << 20)
        reference_tools.run(version, "thin_restore", "-i", xml, "-o", restored)
        for checking in reference_tools.VERSIONS:
            reference_tools.run(checking, "thin_check", restored)
        again = reference_tools.run("0.9.0", "thin_dump", restored)
        assert mappings_by_device(again) == remains.by_device()


@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES, REUSED, DOCKER])
def test_a_pool_with_bad_nodes_is_restored_without_them(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    file = ImageFile(tmp_path / "meta.bin", image)
    damages = [*destroyed(anatomy), *misled(anatomy)]
    for damage in damages[:: len(damages) // 5]:
        damage.apply(image)
        with file.damaged() as path:
            assert_restored(path, Remains(case, damage.is_bad), thinmeta)


@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES])
def test_a_pool_without_what_is_past_its_data_device_is_restored(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.with_open_books(case)
    image.superblock()["data_space_map_root"]["nr_blocks"] = 1000
    image.restamp(0)
    path = image.write_to(tmp_path / "meta.bin")

    assert_restored(path, Remains(case, nr_data_blocks=1000), thinmeta)


@pytest.mark.parametrize("tree", ["details", "devices"])
def test_a_pool_whose_devices_are_lost_from_a_tree_is_restored(
    tree: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    image.zero(getattr(anatomy, tree)[0].block)
    remains = Remains(SNAPSHOTS)
    spoil = without_mappings if tree == "devices" else without_details
    spoil(remains, image, set(anatomy.device_ids))

    assert_restored(image.write_to(tmp_path / "meta.bin"), remains, thinmeta)
