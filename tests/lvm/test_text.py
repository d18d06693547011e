"""LVM's text format, and the volume groups that it describes."""

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import FIXTURES
from tests.lvm.lvm_images import group, striped, thin, thin_pool, uuid_of, volume
from tests.properties import examples
from thinmeta.errors import InputError
from thinmeta.lvm.group import read_group
from thinmeta.lvm.text import MOST_TEXT_BYTES, parse_lvm_text

BACKUPS = sorted(FIXTURES.glob("*/vgcfgbackup*.txt"))

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9+_.-]{0,8}", fullmatch=True)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = INTEGERS | STRINGS
SECTIONS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=4), max_size=5),
    lambda inside: st.dictionaries(NAMES, SCALARS | inside, max_size=4),
    max_leaves=12,
)
COMMENTS = st.sampled_from(["", " ", "\n", "\t\t# a comment with { [ \" ' =\n", "\n\n  "])


def written(section: dict[str, Any], draw: Any) -> str:
    """Return a text that says `section`, as LVM's own writer or a person may write it."""

    def scalar(value: int | str) -> str:
        if isinstance(value, int):
            return str(value)
        if "'" not in value and draw(st.booleans()):
            return f"'{value}'"
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    parts = []
    for key, value in section.items():
        space = [draw(COMMENTS) for _ in range(3)]
        shown = f'"{key}"' if draw(st.booleans()) else key
        if isinstance(value, dict):
            parts.append(f"{shown}{space[0]}{{{space[1]}{written(value, draw)}\n}}{space[2]}")
        elif isinstance(value, list):
            comma = "," if value and draw(st.booleans()) else ""
            items = f",{space[1]}".join(scalar(each) for each in value)
            parts.append(f"{shown}{space[0]}={space[2]}[{space[1]}{items}{comma}]")
        else:
            parts.append(f"{shown}{space[0]}={space[1]}{scalar(value)}{space[2]}\n")
    return "\n".join(parts)


@examples(120)
@given(section=SECTIONS, data=st.data())
def test_what_was_written_is_read(section: dict[str, Any], data: st.DataObject) -> None:
    assert parse_lvm_text(written(section, data.draw), "text") == section


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = 1", 1),
        ("a = -9223372036854775808", -(2**63)),
        ("a = +5", 5),
        ("a = 1.50", 1.5),
        ("a = bare", "bare"),
        ("a = @tag", "@tag"),
        ('a = ""', ""),
        (r'a = "\"q\" \\ \n"', '"q" \\ n'),
        ("a = 'no \\ escape \"'", 'no \\ escape "'),
        ("a = []", []),
        ('a = [ "x", 1, ]', ["x", 1]),
        ("a {\n}\n", {}),
        ("a { b { c=1 } }", {"b": {"c": 1}}),
        ("a=1 a=2", 2),
        ("# only\na = 1 # comment", 1),
    ],
)
def test_a_value(text: str, value: object) -> None:
    assert parse_lvm_text(text, "text") == {"a": value}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a", "line 1: the end where = was expected"),
        ("a =\n\n", "line 3: the end where a value was expected"),
        ("a = 1\n}", "line 2: a } that closes nothing"),
        ("a {\nb = 1\n", "line 3: the end where } was expected"),
        ("a = [1\n2]", "line 2: '2' where , was expected"),
        ("a = [1,\n", "line 2: the end where a value was expected"),
        ('a = 1\nb = "open', "line 2: '\"' begins nothing that ends"),
        ("a = 'open", 'line 1: "\'" begins nothing that ends'),
        ("a = { }", "line 1: '{' where a value was expected"),
        ("= 1", "line 1: '=' where a name was expected"),
        ("a = \x00", r"line 1: '\x00' begins nothing that ends"),
        ("a {" * 17, "line 1: more than 16 sections in each other"),
    ],
)
def test_what_is_no_text_names_the_line(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_lvm_text(text, "vg.txt")
    assert str(caught.value) == f"vg.txt: {what}"


@examples(200)
@given(text=st.text("ab \n{}[]=,\"'\\#1-.\0", max_size=60))
def test_nothing_makes_another_error(text: str) -> None:
    with contextlib.suppress(InputError):
        parse_lvm_text(text, "text")


@pytest.mark.parametrize("piece", ["{", "a{", "[", '"', "'", "\\", "a=[", "a=1 ", "#", "-", '"\\"'])
def test_a_million_of_anything_ends_soon(piece: str) -> None:
    with contextlib.suppress(InputError):
        parse_lvm_text(piece * (1_000_000 // len(piece) // (10 if "=1" in piece else 1)), "text")


def test_what_is_too_large_is_not_read() -> None:
    with pytest.raises(InputError, match="is too large for LVM metadata"):
        parse_lvm_text(" " * (MOST_TEXT_BYTES + 1), "text")


def test_a_number_of_many_digits_is_a_word() -> None:
    assert parse_lvm_text(f"a = {'9' * 5000}", "text") == {"a": "9" * 5000}


@pytest.mark.parametrize("backup", BACKUPS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_line_of_a_backup_is_read(backup: Any) -> None:
    text = backup.read_text()
    found = read_group(text, backup.name)

    assert len(found.volumes) == len(re.findall(r"\bsegment_count = ", text))
    segments = [segment for each in found.volumes.values() for segment in each.segments]
    assert len(segments) == len(re.findall(r"\bextent_count = ", text))
    assert found.seqno == int(re.search(r"seqno = (\d+)", text)[1])  # type: ignore[index]


def test_tags_and_external_origins_are_kept() -> None:
    segment = thin(4, 5, 6) + 'external_origin = "base"\n'
    tagged = volume("lv", segment, letter="1").replace(
        "flags = []", 'flags = []\ntags = ["a", "b"]'
    )
    found = read_group(group(tagged)[:-1].decode(), "text").volumes["lv"]

    assert found.tags == ("a", "b")
    assert found.thin
    assert (found.thin.device_id, found.thin.transaction_id) == (5, 6)
    assert (found.thin.external_origin, found.thin.origin) == ("base", "")
    assert found.id == uuid_of("1")


SOUND = group(
    volume("pool", thin_pool(8), letter="1"),
    volume("lv", striped(0, 4, ("pv0", 0), ("pv0", 9)), letter="2"),
    volume("root", thin(20, 1, 0), letter="4"),
)[:-1].decode()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("extent_size = 8", "extent_size = 0", "vg: extent_size is 0, which cannot be"),
        ("extent_size = 8", "", "describes 0 volume groups"),
        ("seqno = 1", "", "vg: seqno is missing"),
        ("seqno = 1", 'seqno = "1"', "vg: seqno is '1', which cannot be"),
        ("device_id = 1", "device_id = 16777216", "root: segment1: device_id is 16777216"),
        ("device_id = 1", "device_id = -1", "root: segment1: device_id is -1"),
        ("device_id = 1", "", "logical_volumes: root: segment1: device_id is missing"),
        ("segment_count = 1", "segment_count = 2", "pool: segment_count is 2, and there are 1"),
        ("chunk_size = 128", "chunk_size = 0", "chunk_size is 0"),
        ("extent_count = 4\n", "extent_count = 3\n", "3 extents cannot lie on 2 stripes"),
        ('"pv0", 9', '"pv0", "9"', "stripes is not a list of names and numbers"),
        ('"pv0", 9', '"pv0", -9', "stripes is not a list of names and numbers"),
        ("stripe_size = 8", "stripe_size = 0", "stripe_size is 0"),
        ("root {", '"ro ot" {', "logical_volumes: 'ro ot' cannot be the name of anything"),
        ("root {", '"a\x1b[1m" {', "cannot be the name of anything"),
        ('device = "/dev/sdp"', 'device = "\x1b[1m"', "device is"),
        ("111111-1111", "111111_1111", "pool: id is no uuid"),
    ],
)
def test_what_cannot_be_names_the_place(old: str, new: str, what: str) -> None:
    assert old in SOUND
    with pytest.raises(InputError, match=f"^backup: .*{re.escape(what)}"):
        read_group(SOUND.replace(old, new, 1), "backup")


LINES = SOUND.splitlines()


@examples(150)
@given(
    dropped=st.sets(st.integers(0, len(LINES) - 1), max_size=3),
    changed=st.dictionaries(
        st.integers(0, len(LINES) - 1),
        st.sampled_from(
            ["0", "-1", "4294967296", "9223372036854775807", '"x"', "[]", "[1]", "{ }"]
        ),
        max_size=3,
    ),
)
def test_no_changed_field_makes_another_error(dropped: set[int], changed: dict[int, str]) -> None:
    lines = [
        re.sub(r"= .*", f"= {changed[number]}", line) if number in changed else line
        for number, line in enumerate(LINES)
        if number not in dropped
    ]
    with contextlib.suppress(InputError):
        read_group("\n".join(lines), "backup")
