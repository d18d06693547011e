"""XML that no dump is: the error names the line and what is wrong with it."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance import reference_tools
from tests.golden import runs_of
from thinmeta.analyse.check.checker import check_pool
from thinmeta.builder.restore import restore
from thinmeta.errors import InputError
from thinmeta.model.pool import open_pool

HEAD = (
    '<superblock uuid="" time="5" transaction="9" version="2" data_block_size="128"'
    ' nr_data_blocks="1000">\n'
)
DEVICE = '  <device dev_id="1" mapped_blocks="4" transaction="0" creation_time="0" snap_time="0">\n'
SINGLE = '    <single_mapping origin_block="4" data_block="7" time="0"/>\n'
RANGE = '    <range_mapping origin_begin="5" data_begin="8" length="3" time="0"/>\n'
DEF = '  <def name="a">\n'
REF = '    <ref name="a"/>\n'
END = "  </device>\n</superblock>\n"
GOOD = HEAD + DEF + RANGE + "  </def>\n" + DEVICE + SINGLE + REF + END


def fault_of(text: str | bytes, folder: Path) -> str:
    """Return what is said of `text`, after the name of the file; nothing is written."""
    source = folder / "pool.xml"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as told:
        restore(source, folder / "pool.bin")
    assert [each.name for each in folder.iterdir()] == ["pool.xml"]
    message = str(told.value)
    assert "\n" not in message
    return message.removeprefix(f"{source}: ")


def test_the_good_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "pool.xml").write_text(GOOD)

    assert restore(tmp_path / "pool.xml", tmp_path / "pool.bin").nr_mappings == 4


# What Python calls an encoding, and what an XML parser makes of it, are two things.
@pytest.mark.parametrize("name", ["nosuch", "hex", "undefined", "big5", "rot13", "utf-7", "idna"])
def test_an_encoding_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    text = f'<?xml version="1.0" encoding="{name}"?>\n{GOOD}'

    assert fault_of(text, tmp_path).startswith("line 1: its encoding cannot be read: ")


@pytest.mark.parametrize("time", ["-1", "1.5", "", " 3", "0x3", "+3", "1_0", "\u0663"])
def test_what_is_no_number(time: str, tmp_path: Path) -> None:
    text = HEAD.replace('time="5"', f'time="{time}"') + DEVICE + END

    assert fault_of(text, tmp_path) == f"line 1: time is {time!r}, which is no number"


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("other", "/:;=>?@`pyz")
def test_what_is_beside_the_digits_in_ascii_is_no_digit(
    other: str, place: int, tmp_path: Path
) -> None:
    length = "123"[:place] + other + "123"[place + 1 :]
    text = GOOD.replace('length="3"', f'length="{length}"')

    assert fault_of(text, tmp_path) == f"line 3: length is {length!r}, which is no number"


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ('time="5"', 'time="4294967296"', 1, "time is 4294967296, and the highest"),
        ('nr_data_blocks="1000"', f'nr_data_blocks="{2**64}"', 1, "nr_data_blocks is 18446744073"),
        ('nr_data_blocks="1000"', 'nr_data_blocks="99999999999999"', 1, "it can be is 67917312000"),
        ('block_size="128"', 'block_size="100"', 1, "a data block of 100 sectors cannot be"),
        ('block_size="128"', 'block_size="0"', 1, "a data block of 0 sectors cannot be"),
        (' transaction="9"', "", 1, "<superblock> has no attribute transaction"),
        (' version="2"', ' colour="2"', 1, "<superblock> has an unknown attribute, colour"),
        ('dev_id="1"', 'dev_id="4294967296"', 5, "dev_id is 4294967296"),
        (' snap_time="0"', "", 5, "<device> has no attribute snap_time"),
        (' length="3"', "", 3, "<range_mapping> has no attribute length"),
        ('length="3"', 'length="0"', 3, "the mapping of 5 has a length of 0"),
        ('length="3"', 'length="993"', 3, "goes past the last of the 1000 data blocks"),
        ('length="3"', f'length="{2**64 - 4}"', 3, "goes past the highest origin block"),
        ('data_begin="8"', f'data_begin="{2**64 - 1}"', 3, "goes past the last of the 1000 data"),
        ('length="3"', f'length="{10**30}"', 3, "length is 1000000000"),
        ('data_block="7"', 'data_block="1000"', 6, "goes past the last of the 1000 data blocks"),
        ('7" time="0"', '7" time="16777216"', 6, "has a time above 16777215"),
        ('origin_block="4"', 'origin_block="5"', 7, "'a' begins with block 5, which does not come"),
        (SINGLE + REF, REF + SINGLE, 7, "does not come after what is mapped before it"),
        (SINGLE, SINGLE + SINGLE, 7, "does not come after what is mapped before it"),
        (SINGLE, RANGE + SINGLE, 7, "does not come after what is mapped before it"),
        (REF, '    <ref name="b"/>\n', 7, "'b' is not defined before it is referred to"),
        (REF, "    <ref/>\n", 7, "<ref> has no attribute name"),
        (DEF, DEF + "  </def>\n" + DEF, 4, "'a' is defined twice"),
        ("  </device>\n", "  </device>\n" + DEVICE + "  </device>\n", 9, "device 1 is there twice"),
        (SINGLE, DEVICE, 6, "<device> stands in <device>, where it has no business"),
        (SINGLE, DEF, 6, "<def> stands in <device>, where it has no business"),
        (RANGE, REF, 3, "<ref> stands in <def>, where it has no business"),
        (DEVICE, SINGLE, 5, "a mapping stands in no device"),
        (SINGLE, SINGLE[:-3] + "><ref/></single_mapping>", 6, "<ref> stands in <single_mapping>"),
        (HEAD, "", 1, "<def> stands outside of all others"),
        (HEAD, "<?xml version='1.0'?>\n" + HEAD + HEAD, 3, "<superblock> stands in <superblock>"),
        (SINGLE, "    <hole/>\n", 6, "<hole> is no element of a dump"),
        (SINGLE, SINGLE + "    words\n", 7, "there is text, 'words', where only elements belong"),
        ("  </device>\n", "  </def>\n", 8, "</def> closes what is not open"),
        ("</superblock>\n", "", 9, "no element found"),
        ("</superblock>\n", "</superblock>\n" + HEAD, 10, "<superblock> stands after the end"),
        (SINGLE, SINGLE.replace("/>", ">"), 7, "<ref> stands in <single_mapping>"),
        (REF, REF.replace("/>", ">"), 8, "</device> closes what is not open"),
        ("</superblock>\n", "</superblock>\nwords\n", 10, "junk after document element"),
        ('time="0"/>', 'time="0" time="0"/>', 3, "duplicate attribute"),
        ('uuid=""', 'uuid="&boom;"', 1, "undefined entity"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, line: int, what: str, tmp_path: Path) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    fault = fault_of(text, tmp_path)

    assert fault.startswith(f"line {line}: ")
    assert what in fault


@pytest.mark.parametrize("length", range(0, len(GOOD) - 14, 7))
def test_a_part_of_the_xml_is_never_taken_for_all(length: int, tmp_path: Path) -> None:
    line = GOOD[:length].count("\n") + 1

    assert fault_of(GOOD[:length], tmp_path).startswith(f"line {line}: ")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"no XML\n",
        bytes(9000),
        b"\xff\xfe<",
        b"\x05\xf3<>" * 30,
        b"<superblock",
    ],
)
def test_what_is_no_xml_is_refused(text: bytes, tmp_path: Path) -> None:
    assert fault_of(text, tmp_path).startswith("line ")


def test_entities_are_not_resolved(tmp_path: Path) -> None:
    values = ["ha", *(f"&e{number};" * 9 for number in range(29))]
    entities = "".join(f'<!ENTITY e{number} "{value}">' for number, value in enumerate(values))
    head = HEAD.replace('uuid=""', 'uuid="&e29;"')
    text = f"<!DOCTYPE superblock [{entities}]>\n{head}"

    assert fault_of(text, tmp_path) == "line 1: there is a document type, which no dump has"


@pytest.mark.parametrize("text", ['<superblock uuid="', "<!--", "<", '    <ref name="', " <a b='"])
def test_endless_text_is_not_kept_in_memory(text: str, tmp_path: Path) -> None:
    with (tmp_path / "pool.xml").open("w") as file:
        file.write(text)
        file.truncate(len(text))
        for _ in range(64):
            file.write("x" * (1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(InputError, match=r"line 1: "):
        restore(tmp_path / "pool.xml", tmp_path / "pool.bin")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_a_mapping_of_a_trillion_blocks_does_not_fill_the_disk(tmp_path: Path) -> None:
    text = GOOD.replace('"1000"', '"60000000000"').replace('length="3"', f'length="{10**10}"')
    (tmp_path / "pool.xml").write_text(text)

    ran = subprocess.run(
        [sys.executable, "-m", "thinmeta", "restore", "-i", "pool.xml", "-o", "pool.bin"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 1
    assert "has room for 4161600 metadata blocks, the most that" in ran.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["pool.xml"]


LAST = 2**64 - 1
AT_THE_END = [
    f'    <single_mapping origin_block="{LAST}" data_block="7" time="0"/>\n',
    f'    <range_mapping origin_begin="{LAST - 2}" data_begin="7" length="3" time="0"/>\n',
]


@pytest.mark.parametrize("mapping", AT_THE_END)
@pytest.mark.parametrize("before", ["", " "])
def test_the_last_origin_block_there_can_be(mapping: str, before: str, tmp_path: Path) -> None:
    source, output = tmp_path / "pool.xml", tmp_path / "pool.bin"
    source.write_text(HEAD + DEF + before + mapping + "  </def>\n" + DEVICE + REF + END)

    summary = restore(source, output)

    assert summary.nr_mappings == (1 if "single" in mapping else 3)
    with open_pool(output) as pool:
        assert not check_pool(pool).findings
        (run,) = runs_of(pool, pool.devices[1])
        assert run.origin_begin + run.length - 1 == LAST
    for name in ("1.1.0", "0.9.0") if reference_tools.ARE_THERE else ():
        dump = reference_tools.FOLDER / name / "thin_dump"
        assert f'="{run.origin_begin}"' in subprocess.check_output([dump, output], text=True)


@pytest.mark.parametrize("mapping", AT_THE_END)
@pytest.mark.parametrize("more", [SINGLE, RANGE, *AT_THE_END])
def test_nothing_comes_after_the_last_origin_block(mapping: str, more: str, tmp_path: Path) -> None:
    text = HEAD + DEVICE + mapping + more + END
    what = "does not come after what is mapped before it"

    fault = fault_of(text, tmp_path)
    assert fault.startswith("line 4: the mapping of ")
    assert fault.endswith(what)
    by_ref = HEAD + DEF + more + "  </def>\n" + DEVICE + mapping + REF + END
    assert fault_of(by_ref, tmp_path).startswith("line 7: 'a' begins with block ")
