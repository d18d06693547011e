"""Pack files of every fixture: thin_metadata_unpack reads ours, we read thin_metadata_pack's."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tests.cases import image_bytes, image_names, unpacked
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.made_images import BLOCK
from thinmeta.schemas.checksum import known_salts

IMAGES = image_names()

each_image = pytest.mark.parametrize(("case", "image"), IMAGES)


@lru_cache(maxsize=2)
def stored_part(case: str, image: str) -> bytes:
    """Return the image with zeros for all blocks whose checksum is that of no kind."""
    rows = np.frombuffer(image_bytes(case, image), dtype=np.uint8).reshape(-1, BLOCK).copy()
    rows[known_salts(rows) == 0] = 0
    return rows.tobytes()


def ours(thinmeta: Thinmeta, *args: object) -> bytes:
    result = thinmeta(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout_bytes


def test_the_corpus_has_not_shrunk() -> None:
    assert len(IMAGES) >= 32


@each_image
def test_a_pack_file_is_read_as_its_image(
    case: str, image: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source, pack = unpacked(case, image), tmp_path / "pack"
    assert ours(thinmeta, "pack", source, "-o", pack) == b""

    assert ours(thinmeta, "unpack", pack) == stored_part(case, image)
    of_pack, of_image = thinmeta("dump", pack), thinmeta("dump", source)
    assert of_pack.exit_code == of_image.exit_code
    assert of_pack.stdout_bytes == of_image.stdout_bytes


@each_image
@pytest.mark.live
def test_each_reads_what_the_other_wrote(
    case: str, image: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source = tmp_path / "meta.bin"
    source.write_bytes(image_bytes(case, image))
    pack, unpacked = tmp_path / "pack", tmp_path / "unpacked"

    ours(thinmeta, "pack", "-i", source, "-o", pack)
    reference_tools.run("1.1.0", "thin_metadata_unpack", "-i", pack, "-o", unpacked)
    assert unpacked.read_bytes() == stored_part(case, image)

    reference_tools.run("1.1.0", "thin_metadata_pack", "-f", "-i", source, "-o", pack)
    reference_tools.run("1.1.0", "thin_metadata_unpack", "-f", "-i", pack, "-o", unpacked)
    # What it packed, which may be less than there is: it loses chunks.
    assert ours(thinmeta, "unpack", "-i", pack) == unpacked.read_bytes()
