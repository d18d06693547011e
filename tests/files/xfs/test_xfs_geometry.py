"""A superblock is believed if its numbers fit each other; what is not known of it is named."""

from typing import Any
from uuid import UUID

import pytest

from tests.files.image_source import BytesSource
from tests.files.listing import every_file
from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.small_images import Changed, small_image
from thinmeta.errors import InputError
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.schemas.xfs import (
    XFS_SB_FEAT_INCOMPAT_META_UUID,
    XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR,
    XFS_SB_VERSION_DIRV2BIT,
    XfsSuperblock,
)

pytestmark = needs_xfsprogs


def superblock(version: int) -> Any:
    return XfsSuperblock.parse(small_image(version))


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sb_magicnum": b"XFSC"}, "its magic is wrong"),
        ({"sb_versionnum": 0xB4A3}, "its version is 3, neither 4 nor 5"),
        ({"sb_inprogress": 1}, "mkfs did not finish"),
        ({"sb_blocksize": 4096}, "sb_blocksize is 4096"),
        ({"sb_blocksize": 1 << 17, "sb_blocklog": 17}, "sb_blocksize is 131072"),
        ({"sb_sectsize": 256, "sb_sectlog": 8}, "sb_sectsize is 256"),
        ({"sb_inodesize": 4096, "sb_inodelog": 12}, "sb_inodesize is 4096"),
        ({"sb_inodesize": 300}, "sb_inodesize is 300"),
        ({"sb_inopblog": 5, "sb_inopblock": 32}, "sb_inopblog is 5"),
        ({"sb_inopblock": 0}, "sb_inopblock is 0"),
        ({"sb_dirblklog": 7}, "sb_dirblklog is 7"),
        ({"sb_agblocks": 63, "sb_agblklog": 6}, "sb_agblocks is 63"),
        ({"sb_agblocks": 0xFFFFFFFF}, "sb_agblocks is 4294967295"),
        ({"sb_agblklog": 20}, "sb_agblklog is 20"),
        ({"sb_agcount": 0}, "sb_agcount is 0"),
        ({"sb_dblocks": 0}, "sb_dblocks is 0"),
        ({"sb_dblocks": 2**63}, "sb_dblocks is 9223372036854775808"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    version: int, fields: dict[str, Any], message: str
) -> None:
    changed = Changed(version)
    changed.set_superblock(**fields)

    with pytest.raises(InputError) as caught:
        changed.opened()

    assert str(caught.value) == f"image: the XFS superblock cannot be believed: {message}"


def test_directories_of_version_1_are_refused() -> None:
    changed = Changed(4)
    changed.set_superblock(sb_versionnum=superblock(4).sb_versionnum & ~XFS_SB_VERSION_DIRV2BIT)

    with pytest.raises(InputError, match="its directories are of version 1"):
        changed.opened()


def test_a_wrong_checksum_is_told() -> None:
    changed = Changed(5)
    changed.put(110, b"x")

    with pytest.raises(InputError, match="cannot be believed: its checksum is wrong"):
        changed.opened()


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x100, "metadata directories"),
        (0x600, "zoned, zone gaps"),
        (0x8000_0100, "metadata directories, incompat bit 0x80000000"),
    ],
)
def test_unknown_features_are_named(bits: int, names: str) -> None:
    changed = Changed(5)
    changed.set_superblock(sb_features_incompat=superblock(5).sb_features_incompat | bits)

    with pytest.raises(InputError) as caught:
        changed.opened()

    assert str(caught.value) == f"image: the XFS has features not known here: {names}"


def test_what_needs_repair_says_so_and_is_read() -> None:
    assert Changed(5).opened().remark is None

    changed = Changed(5)
    bits = superblock(5).sb_features_incompat | XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR
    changed.set_superblock(sb_features_incompat=bits)

    assert str(changed.opened().remark).startswith("the XFS is marked as in need of xfs_repair")
    assert len(dict(every_file(changed.opened()))) > 500


def test_blocks_keep_the_uuid_that_they_were_written_with() -> None:
    """As after `xfs_admin -U`."""
    new = UUID("01234567-89ab-cdef-0123-456789abcdef")
    changed = Changed(5)
    changed.set_superblock(
        sb_uuid=new.bytes,
        sb_meta_uuid=superblock(5).sb_uuid,
        sb_features_incompat=superblock(5).sb_features_incompat | XFS_SB_FEAT_INCOMPAT_META_UUID,
    )

    assert changed.opened().uuid == new
    assert dict(every_file(changed.opened())) == dict(every_file(Changed(5).opened()))


def test_it_knows_its_label_and_log() -> None:
    changed = Changed(5)
    changed.set_superblock(sb_fname=b"caf\xe9".ljust(12, b"\0"))
    fields = superblock(5)
    begin = fields.sb_logstart - (fields.sb_logstart >> fields.sb_agblklog << fields.sb_agblklog)
    begin += (fields.sb_logstart >> fields.sb_agblklog) * fields.sb_agblocks

    assert changed.opened().label == b"caf\xe9"
    assert changed.opened().log == (begin * 1024, fields.sb_logblocks * 1024)
    changed.set_superblock(sb_logstart=0)
    assert changed.opened().log is None


def test_the_beginning_is_all_that_is_needed_to_open_it() -> None:
    assert Xfs(Cache(BytesSource(small_image(5)[:512]))).block_bytes == 1024
