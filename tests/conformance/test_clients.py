"""Programs that read thin_dump's output can read ours: what their parsers ask for, restated.

Each test names the program; `dump --compat 0.9` is for those that know no `<def>`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from xml.etree import ElementTree as ET

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.golden import DumpedDevice, parsed_xml, thin_dump

# Much sharing, needs_check, a held snapshot, large transaction ids, large device ids.
# What all images print is compared byte for byte in test_dump.
IMAGES = [
    ("a08-snapshots-of-snapshots", "meta"),
    ("a11-needs-check-flag", "meta"),
    ("a13-metadata-snapshot-held", "meta-live-after-changes"),
    ("a18-large-device-ids", "meta"),
    ("a20-transaction-ids", "meta"),
]
each_image = pytest.mark.parametrize(
    ("case", "image"), IMAGES, ids=["/".join(image) for image in IMAGES]
)
HELD = ("a13-metadata-snapshot-held", "meta-live-after-changes")


def printed(thinmeta: Thinmeta, image: tuple[str, str], *options: object) -> str:
    result = thinmeta("dump", *options, unpacked(*image))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def devices_of(image: tuple[str, str], name: str = "thin_dump") -> list[DumpedDevice]:
    return parsed_xml(thin_dump(*image, name, "0.9.0")).devices


@each_image
@pytest.mark.parametrize("compat", ["1.1", "0.9"])
def test_lvm2_finds_the_transaction_on_line_1(
    case: str, image: str, compat: str, thinmeta: Thinmeta
) -> None:
    """lvm2 reads the first line of `thin_dump PMS` and looks for `transaction="`.

    Source: lvm2 d804677c7, tools/lvconvert.c:2463.
    """
    line = printed(thinmeta, (case, image), "--compat", compat).splitlines()[0]

    found = int(line[line.index('transaction="') + len('transaction="') :].split('"')[0])

    attributes = parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0")).superblock
    assert found == attributes["transaction"]


VALUE = r'"([^"\r\n]{0,20})"'
LINBIT_LINES = {
    "superblock": rf"<superblock uuid={VALUE} time={VALUE} transaction={VALUE}"
    rf"(?: flags={VALUE})? version={VALUE} data_block_size={VALUE} nr_data_blocks={VALUE}>",
    "device": rf"  <device dev_id={VALUE} mapped_blocks={VALUE} transaction={VALUE}"
    rf" creation_time={VALUE} snap_time={VALUE}>",
    "range": rf"    <range_mapping origin_begin={VALUE} data_begin={VALUE} length={VALUE}"
    rf" time={VALUE}/>",
    "single": rf"    <single_mapping origin_block={VALUE} data_block={VALUE} time={VALUE}/>",
    "end of device": r"  </device>",
    "end": r"</superblock>",
}


@each_image
@pytest.mark.parametrize("compat", ["1.1", "0.9"])
def test_linbit_scans_one_device_attribute_by_attribute(
    case: str, image: str, compat: str, thinmeta: Thinmeta
) -> None:
    """thin-send-recv scans `thin_dump -m --dev-id N`: this order, values of up to 20 characters.

    Source: LINBIT/thin-send-recv da58241, thin_delta_scanner.fl.
    """
    scanner = re.compile("|".join(LINBIT_LINES.values()))
    for device in devices_of((case, image))[:3]:
        text = printed(thinmeta, (case, image), "--compat", compat, "--dev-id", device.device_id)

        assert all(scanner.fullmatch(line) for line in text.splitlines())


def test_linbit_scans_a_metadata_snapshot(thinmeta: Thinmeta) -> None:
    scanner = re.compile("|".join(LINBIT_LINES.values()))

    text = printed(thinmeta, HELD, "-m", "--dev-id", 1)

    assert all(scanner.fullmatch(line) for line in text.splitlines())


@each_image
@pytest.mark.parametrize("compat", ["1.1", "0.9"])
def test_thin_shrink_takes_the_last_attribute_for_the_data_blocks(
    case: str, image: str, compat: str, thinmeta: Thinmeta
) -> None:
    """thinpool_shrink cuts line 1 at its last `=`.

    Source: nkshirsagar/thinpool_shrink e85b8b8, thin_shrink.py:67.
    """
    line = printed(thinmeta, (case, image), "--compat", compat).splitlines()[0]

    found = line.rpartition("=")[-1].rstrip(">").strip('"')

    attributes = parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0")).superblock
    assert int(found) == attributes["nr_data_blocks"]


@each_image
def test_thin_shrink_takes_the_seventh_word_for_the_block_size(
    case: str, image: str, thinmeta: Thinmeta
) -> None:
    """It counts with `flags` being there, as 0.9 always has them."""
    line = printed(thinmeta, (case, image), "--compat", "0.9").splitlines()[0]

    name, _, value = line.split()[6].partition("=")

    attributes = parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0")).superblock
    assert (name, int(value.strip('"'))) == ("data_block_size", attributes["data_block_size"])


ONE_ELEMENT = re.compile(r"<(?:/\w+|\w+(?: \w+=\"[^\"<>]*\")*/?)>")


@each_image
@pytest.mark.parametrize("compat", ["1.1", "0.9"])
def test_every_line_is_one_tag(case: str, image: str, compat: str, thinmeta: Thinmeta) -> None:
    """Shell scripts and wyng-backup go line by line with grep and awk."""
    lines = printed(thinmeta, (case, image), "--compat", compat).splitlines()

    assert all(ONE_ELEMENT.fullmatch(line.lstrip(" ")) for line in lines)
    assert lines[0].startswith("<superblock ")
    assert lines[-1] == "</superblock>"


@each_image
@pytest.mark.parametrize("compat", ["1.1", "0.9"])
def test_grep_finds_a_line_for_each_device(
    case: str, image: str, compat: str, thinmeta: Thinmeta
) -> None:
    """`thin_dump ... | grep 'dev_id='`: Docker clean-ups, Portworx support, OpenNebula."""
    lines = printed(thinmeta, (case, image), "--compat", compat).splitlines()

    found = [re.search(r'dev_id="(\d+)"', line) for line in lines if "dev_id=" in line]

    assert [int(match[1]) for match in found if match] == [
        device.device_id for device in devices_of((case, image))
    ]


@each_image
@pytest.mark.parametrize("compat", ["1.1", "0.9"])
def test_the_tree_of_elements(case: str, image: str, compat: str, thinmeta: Thinmeta) -> None:
    """deckhouse, fast-vm and others decode it as XML, with these elements in each other."""
    root = ET.fromstring(printed(thinmeta, (case, image), "--compat", compat))

    assert root.tag == "superblock"
    inside = {(parent.tag, child.tag) for parent in root.iter() for child in parent}
    allowed = {
        ("superblock", "device"),
        ("device", "range_mapping"),
        ("device", "single_mapping"),
    }
    if compat == "1.1":
        allowed |= {
            ("superblock", "def"),
            ("def", "range_mapping"),
            ("def", "single_mapping"),
            ("device", "ref"),
        }
    assert inside <= allowed
    assert compat == "1.1" or not list(root.iter("def"))
    names = [each.get("name") for each in root.iter("def")]
    assert len(set(names)) == len(names)
    assert {each.get("name") for each in root.iter("ref")} <= {*names}


@each_image
def test_serviced_and_convoy_count_a_devices_blocks(
    case: str, image: str, thinmeta: Thinmeta
) -> None:
    """Serviced goes over the XML's tokens: a device, then its mappings.

    Source: control-center/serviced, volume/devicemapper/stats.go:118.
    """
    blocks: Counter[int] = Counter()
    device_id = -1
    for token in tokens(printed(thinmeta, (case, image), "--compat", "0.9")):
        match token.tag:
            case "device":
                device_id = int(token.attrib["dev_id"])
                blocks[device_id] = 0
            case "range_mapping":
                blocks[device_id] += int(token.attrib["length"])
            case "single_mapping":
                blocks[device_id] += 1

    assert blocks == {
        device.device_id: device.mapped_blocks for device in devices_of((case, image))
    }


def test_the_images_have_what_clients_could_stumble_over(thinmeta: Thinmeta) -> None:
    texts = [printed(thinmeta, image) for image in IMAGES]

    for tag in ("<def ", "<ref ", "<single_mapping ", "<range_mapping ", ' flags="1"'):
        assert any(tag in text for text in texts)


def events(text: str) -> Iterator[tuple[str, ET.Element]]:
    """Return the beginnings and ends of the elements, each as soon as it is read."""
    return ET.iterparse(StringIO(text), ["start", "end"])


def tokens(text: str) -> Iterator[ET.Element]:
    return (element for event, element in events(text) if event == "start")


@each_image
def test_fast_vm_sums_what_a_device_has_of_its_own(
    case: str, image: str, thinmeta: Thinmeta
) -> None:
    """fast-vm asks by XPath for a device's blocks of a certain time.

    Source: OndrejHome/fast-vm 75eecda, fast-vm-helper.sh:156.
    """
    root = ET.fromstring(printed(thinmeta, (case, image), "--compat", "0.9"))

    for device in devices_of((case, image)):
        found = root.find(f"device[@dev_id='{device.device_id}']")
        assert found is not None
        assert int(found.attrib["creation_time"]) == device.creation_time
        assert int(found.attrib["snap_time"]) == device.snap_time
        since = device.snap_time
        ranges = found.findall(f"range_mapping[@time='{since}']")
        singles = found.findall(f"single_mapping[@time='{since}']")
        assert sum(int(each.attrib["length"]) for each in ranges) + len(singles) == sum(
            run.length for run in device.runs if run.time == since
        )


@each_image
def test_borg_maps_one_device(case: str, image: str, thinmeta: Thinmeta) -> None:
    """Borg's lvm-thin-map takes one device, with mappings nowhere else.

    Source: borgbackup/borg fc74d5f64, scripts/lvm-thin-map.py:15.
    """
    for device in devices_of((case, image))[:3]:
        text = printed(thinmeta, (case, image), "--dev-id", device.device_id)

        mapped: list[tuple[int, int]] = []
        depth: list[str] = []
        for event, element in events(text):
            if event == "end":
                depth.pop()
                continue
            if element.tag == "range_mapping":
                assert depth == ["superblock", "device"]
                mapped.append((int(element.attrib["origin_begin"]), int(element.attrib["length"])))
            elif element.tag == "single_mapping":
                assert depth == ["superblock", "device"]
                mapped.append((int(element.attrib["origin_block"]), 1))
            depth.append(element.tag)

        assert mapped == [(run.origin_begin, run.length) for run in device.runs]


@each_image
def test_thinp_xml_knows_every_tag(case: str, image: str, thinmeta: Thinmeta) -> None:
    """The gem thinp_xml raises on a tag that it does not know; so do lvmsync and LINBIT.

    Source: jthornber/thinp_xml 8c23bdc, lib/thinp_xml/thinp/parse.rb.
    """
    tags = {token.tag for token in tokens(printed(thinmeta, (case, image), "--compat", "0.9"))}

    assert tags <= {"superblock", "device", "range_mapping", "single_mapping"}
