"""`thinmeta block`: both formats say the same, all is there when asked for, exit codes fit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import BLOCK, DamagedImage
from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.errors import ExitCode

CASE = "a08-snapshots-of-snapshots"


def objects(thinmeta: Thinmeta, *args: object) -> list[dict[str, Any]]:
    result = thinmeta("block", "-f", "json", "-p", unpacked(CASE), *args)
    assert result.exit_code == ExitCode.DONE, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found.pop() == {"type": "end"}
    return found


def leaf_of(device_id: int) -> int:
    return Anatomy.of(CASE).leaves(device_id)[0].block


def test_text_and_json_say_the_same(thinmeta: Thinmeta) -> None:
    leaf = leaf_of(1)
    block, *others = objects(thinmeta, leaf)

    text = thinmeta("block", leaf, "-p", unpacked(CASE), "--all").stdout

    assert f"checksum          {block['stored_checksum']:#010x}, right\n" in text
    assert f"reference count   {block['ref_count']}; " in text
    for field in block["fields"]:
        shown = f"{field['offset']:>6}  {field['size']:>4}  {field['name'] or '-'} "
        assert re.search(rf"^{shown}.* {re.escape(field['meaning'])}$", text, re.M)
    rows = [
        tuple(map(int, row)) for row in re.findall(r"^ *(\d+)" + r" +(\d+)" * 5 + "$", text, re.M)
    ]
    assert rows == [tuple(each.values()) for each in block["entries"]]
    for kind, title in (
        ("reference", "Referred to by"),
        ("state", "States that lead to it"),
        ("version", "Other versions of it"),
    ):
        of_kind = [each for each in others if each["type"] == kind]
        assert f"\n{title}: {len(of_kind) or 'none'}\n" in text
        assert {each["block"] for each in of_kind} <= {leaf}
    assert [each["state"] for each in others if each["type"] == "state"] == re.findall(
        r"^(\d+:\d+) ", text, re.M
    )


def test_the_entries_are_the_mappings(thinmeta: Thinmeta) -> None:
    leaf = leaf_of(1)

    block, *_ = objects(thinmeta, leaf)

    names = ("key", "data_block", "time")
    found = [tuple(each[name] for name in names) for each in block["entries"]]
    assert found == Anatomy.of(CASE).mappings(leaf)


def test_few_rows_are_shown_unless_all_are_asked_for(thinmeta: Thinmeta) -> None:
    leaf = leaf_of(1)
    nr_entries = len(Anatomy.of(CASE).mappings(leaf))

    few, everything = (
        thinmeta("block", leaf, "-p", unpacked(CASE), *more).stdout for more in ((), ("--all",))
    )

    assert f"... and {nr_entries - 20} more, which --all shows\n" in few
    assert "more, which" not in everything


def test_raw_shows_all_bytes(thinmeta: Thinmeta) -> None:
    leaf = leaf_of(1)
    held = DamagedImage.of(CASE).block(leaf).tobytes()

    block, *_ = objects(thinmeta, leaf, "--raw")
    text = thinmeta("block", leaf, "-p", unpacked(CASE), "--raw").stdout

    assert bytes.fromhex(block["bytes"]) == held
    dumped = bytearray(BLOCK)
    lines = re.findall(
        r"^ *(\d+|\*)(?:  ((?:[0-9a-f]{2} ?){8}) ((?:[0-9a-f]{2} ?){8}))?", text, re.M
    )
    before, is_repeated, end = b"", False, 0
    for offset, first, second in lines:
        if offset == "*":
            is_repeated = True
        elif first:
            begin = int(offset)
            assert is_repeated or begin == end
            dumped[end:begin] = before * ((begin - end) // 16)
            before, is_repeated, end = bytes.fromhex(first + second), False, begin + 16
            dumped[begin:end] = before
    assert bytes(dumped[:end]) == held[:end]
    assert held[end:] == b"\0" * (BLOCK - end) or is_repeated
    assert f"  {held[:4].hex()}  " in text


def test_a_difference_is_what_one_has_and_the_other_has_not(thinmeta: Thinmeta) -> None:
    anatomy = Anatomy.of(CASE)
    one, other = anatomy.leaves(1)[0].block, anatomy.leaves(2)[0].block
    left, right = ({key: more for key, *more in anatomy.mappings(each)} for each in (one, other))

    compared, *entries = objects(thinmeta, "--diff", one, other)
    text = thinmeta("block", "-p", unpacked(CASE), "--diff", one, other, "--all").stdout

    expected = {key for key in {*left, *right} if left.get(key) != right.get(key)}
    assert {each["key"] for each in entries} == expected
    assert compared["nr_same"] == len({*left, *right}) - len(expected)
    for each in entries:
        assert each["left"] == (
            dict(zip(("data_block", "time"), left[each["key"]], strict=True))
            if each["key"] in left
            else None
        )
    assert (
        f"\nEntries that differ: {len(expected) or 'none'}; alike: {compared['nr_same']}\n" in text
    )


@pytest.mark.parametrize("args", [(), ("1", "--diff", "1", "2"), ("--diff", "1", "2", "--raw")])
def test_what_does_not_go_together_is_a_usage_error(
    args: tuple[str, ...], thinmeta: Thinmeta
) -> None:
    assert thinmeta("block", "-p", unpacked(CASE), *args).exit_code == ExitCode.USAGE


def test_a_block_past_the_end_is_not_there(thinmeta: Thinmeta) -> None:
    result = thinmeta("block", "-p", unpacked(CASE), "1", 2**64 - 1)

    assert result.exit_code == ExitCode.NOT_THERE
    assert result.stdout == ""
    assert f"there is no block {2**64 - 1}: the metadata has only 2048 blocks" in result.stderr


def test_a_block_that_cannot_be_read_is_told(
    thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = leaf_of(1)
    read = BlockDevice.read

    def failing(self: BlockDevice, blocks: Any) -> Any:
        batch = read(self, blocks)
        batch.faults[blocks == leaf] = Fault.READ_ERROR
        batch.rows[blocks == leaf] = 0
        return batch

    monkeypatch.setattr(BlockDevice, "read", failing)

    result = thinmeta("block", "-p", unpacked(CASE), leaf)

    assert result.exit_code == ExitCode.SALVAGED
    assert result.stdout.startswith(f"block {leaf:<12}cannot be read\n")
    assert "is taken for      mappings\n" in result.stdout
    assert result.stderr.endswith(f"blocks that cannot be read: {leaf}\n")


def test_without_a_superblock_it_works(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    image.zero(0)

    result = thinmeta("block", leaf_of(1), "-p", image.write_to(tmp_path / "meta.bin"))

    assert result.exit_code == ExitCode.DONE
    assert "reference count   not known" in result.stdout
    assert "reachable from    no superblock\n" in result.stdout
