"""Programs that read thin_delta's output can read `diff -f xml`: their parsers, restated.

What the blocks must be comes from thin_dump's recorded output, not from thin_delta's.
"""

import re
from xml.etree import ElementTree as ET

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.golden import mappings_of, parsed_xml, thin_dump

PAIRS = [
    ("a08-snapshots-of-snapshots", 0, 1),
    ("a13-metadata-snapshot-held", 1, 3),
    ("a11-needs-check-flag", 1, 2),
    ("docker-loop-lvm-xfs-64k", 11, 14),
]
each_pair = pytest.mark.parametrize(("case", "left", "right"), PAIRS)


def delta(thinmeta: Thinmeta, case: str, left: int, right: int, *options: str) -> str:
    result = thinmeta("diff", left, right, "-f", "xml", *options, "-p", unpacked(case))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def mapped(case: str, device_id: int) -> dict[int, int]:
    """Return the data block of each block of a device, as thin_dump 0.9.0 printed it."""
    devices = parsed_xml(thin_dump(case, "meta", "thin_dump", "0.9.0")).devices
    device = next(each for each in devices if each.device_id == device_id)
    return {origin: data for origin, data, _ in mappings_of(device.runs)}


def changed_blocks(case: str, left: int, right: int) -> set[int]:
    """Return what a backup of RIGHT on top of LEFT must copy or free."""
    before, after = mapped(case, left), mapped(case, right)
    return {b for b in before.keys() | after.keys() if before.get(b) != after.get(b)}


@each_pair
def test_wyng_reads_what_grep_leaves_of_it(
    case: str, left: int, right: int, thinmeta: Thinmeta
) -> None:
    """Wyng pipes thin_delta through `grep -v` of `same` lines, then ElementTree reads it.

    Source: tasket/wyng-backup 2c00b90, src/wyng:3548.
    """
    lines = delta(thinmeta, case, left, right).splitlines()
    tree = ET.fromstring("\n".join(x for x in lines if not re.match(r"^\s*<same .*/>$", x)))

    assert int(tree.get("data_block_size", "")) in (128, 1024)
    found: set[int] = set()
    difference = tree.find("diff")
    assert difference is not None
    for element in difference:
        assert element.tag in {"different", "right_only", "left_only"}
        begin = int(element.get("begin", ""))
        found |= set(range(begin, begin + int(element.get("length", ""))))
    assert found == changed_blocks(case, left, right)


@each_pair
def test_linbit_scans_the_attributes_in_their_order(
    case: str, left: int, right: int, thinmeta: Thinmeta
) -> None:
    """A scanner of fixed order; `flags` in the header is an error for it, so 0.9's header.

    Source: LINBIT/thin-send-recv da58241, thin_delta_scanner.fl.
    """
    value = r'"[^"\r\n]{0,20}"'
    tags = (
        rf"<superblock uuid={value} time={value} transaction={value} data_block_size={value}"
        rf" nr_data_blocks={value}(?: metadata_snap={value})?>",
        rf"<diff left={value} right={value}>",
        rf"<(?:same|different|left_only|right_only) begin={value} length={value}/>",
        "</diff>",
        "</superblock>",
    )

    for line in delta(thinmeta, case, left, right, "--compat", "0.9").splitlines():
        assert any(re.fullmatch(rf"\s*{tag}", line) for tag in tags), line


@each_pair
def test_xpath_and_go_decoders_find_the_ranges(
    case: str, left: int, right: int, thinmeta: Thinmeta
) -> None:
    """XPath `superblock/diff/*`, and Go's `xml:"diff>any"`: tag, begin and length of each.

    Source: davidbartonau/lvm-thin-sendrcv 79a7f7b, LVMBlockDiff.java:37;
    rancher/convoy 23ae8d0, devmapper/backup.go:47.
    """
    tree = ET.fromstring(delta(thinmeta, case, left, right))

    ranges = [
        (e.tag, int(e.attrib["begin"]), int(e.attrib["length"])) for e in tree.findall("diff/*")
    ]

    covered = [block for _, begin, length in ranges for block in range(begin, begin + length)]
    assert covered == sorted(mapped(case, left).keys() | mapped(case, right).keys())
    right_side = {"same", "different", "right_only"}
    assert {
        block
        for tag, begin, length in ranges
        if tag in right_side
        for block in range(begin, begin + length)
    } == mapped(case, right).keys()


@each_pair
def test_borg_takes_ranges_without_nesting(
    case: str, left: int, right: int, thinmeta: Thinmeta
) -> None:
    """Its script stops at a `<range>` within a tag, which only `--verbose` prints.

    Source: borgbackup/borg fc74d5f64, scripts/lvm-thin-map.py:15.
    """
    tree = ET.fromstring(delta(thinmeta, case, left, right))
    nested = ET.fromstring(delta(thinmeta, case, left, right, "--verbose"))

    assert tree.findall("diff/*/range") == []
    assert nested.findall("diff/*/range") != []


@each_pair
def test_shell_scripts_match_line_by_line(
    case: str, left: int, right: int, thinmeta: Thinmeta
) -> None:
    """Scripts match begin and length on the lines that have different or right_only."""
    before, after = mapped(case, left), mapped(case, right)
    found: set[int] = set()
    for line in delta(thinmeta, case, left, right).splitlines():
        match = re.search(r'begin="(\d+)".*length="(\d+)"', line)
        if match and ("different" in line or "right_only" in line):
            found |= set(range(int(match[1]), int(match[1]) + int(match[2])))

    assert found == {block for block in after if before.get(block) != after[block]}
