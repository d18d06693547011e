"""Every recorded dump, restored, is dumped again as it was; thin_check finds nothing in it."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from tests.builder.documents import Document, documents
from tests.cases import Recorded, recorded
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.properties import examples

DUMPS = [each for each in recorded("thin_dump") if each.args == ("{image}",) and not each.exit_code]
OLD = {(each.case, each.image): each for each in DUMPS if each.version == "0.9.0"}
NEW = {(each.case, each.image): each for each in DUMPS if each.version == "1.1.0"}

SHARED = re.compile(rb'  <def name="\d+">\n(.*?)  </def>\n', re.DOTALL)
LENGTH = re.compile(rb' length="(\d+)"|<(single)')

each_pool = pytest.mark.parametrize("pool", sorted(OLD), ids="/".join)


def test_there_are_pools() -> None:
    assert len(OLD) >= 22
    assert OLD.keys() == NEW.keys()


def xml_of(dump: Recorded) -> bytes:
    """Return what was recorded; needs_check is a flag that is not restored."""
    return dump.stdout().replace(b' flags="1"', b' flags="0"' if dump.version == "0.9.0" else b"")


def restored(xml: bytes, folder: Path, thinmeta: Thinmeta, *options: str) -> Path:
    source, output = folder / "pool.xml", folder / "pool.bin"
    source.write_bytes(xml)
    result = thinmeta("restore", "-i", source, "-o", output, *options)
    assert (result.exit_code, result.output) == (0, "")
    return output


def large_shared(xml: bytes) -> set[bytes]:
    """Return the contents of the definitions of 126 mappings and more."""
    return {
        lines
        for lines in SHARED.findall(xml)
        if sum(int(length or 1) for length, _ in LENGTH.findall(lines)) >= 126
    }


@each_pool
def test_a_dump_of_0_9_is_dumped_again(
    pool: tuple[str, str], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    xml = xml_of(OLD[pool])

    image = restored(xml, tmp_path, thinmeta)

    assert thinmeta("dump", "--compat", "0.9", image).stdout_bytes == xml
    assert thinmeta("check", image).exit_code == 0


@each_pool
def test_a_dump_of_1_1_is_the_same_pool_and_shares_as_much(
    pool: tuple[str, str], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = restored(xml_of(NEW[pool]), tmp_path, thinmeta)

    assert thinmeta("dump", "--compat", "0.9", image).stdout_bytes == xml_of(OLD[pool])
    assert large_shared(thinmeta("dump", image).stdout_bytes) == large_shared(NEW[pool].stdout())
    assert thinmeta("check", image).exit_code == 0


def test_some_pools_share() -> None:
    assert sum(bool(large_shared(dump.stdout())) for dump in NEW.values()) >= 4


def assert_thin_check_is_content(image: Path) -> None:
    for version in reference_tools.VERSIONS:
        tool = reference_tools.FOLDER / version / "thin_check"
        ran = subprocess.run([tool, image], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.live
@each_pool
def test_the_reference_tools_take_it(
    pool: tuple[str, str], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = restored(xml_of(NEW[pool]), tmp_path, thinmeta, "--metadata-size", "64M")

    assert_thin_check_is_content(image)
    assert reference_tools.run("0.9.0", "thin_dump", image) == xml_of(OLD[pool])
    printed = reference_tools.run("1.1.0", "thin_dump", image)
    assert printed == thinmeta("dump", image).stdout_bytes


@pytest.mark.live
@examples(12)
@given(document=documents(repeats=False))
def test_thin_check_takes_any_pool(
    document: Document, tmp_path_factory: pytest.TempPathFactory, thinmeta: Thinmeta
) -> None:
    folder = tmp_path_factory.mktemp("pool")

    image = restored(document.xml().encode(), folder, thinmeta)

    assert_thin_check_is_content(image)
    expected = thinmeta("dump", "--compat", "0.9", image).stdout_bytes
    assert reference_tools.run("0.9.0", "thin_dump", image) == expected
