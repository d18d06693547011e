"""Past states: `--state M:D` and `1@M` show what an earlier copy of the pool did."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.anatomy import Anatomy, sound_output
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.golden import thin_dump
from tests.salvage.remains import Remains, mappings_by_device
from thinmeta.errors import ExitCode

CASE = "a13-metadata-snapshot-held"
LATER = "meta-live-after-changes"
EARLIER = "meta-live-at-reserve"
IMAGES = [LATER, "meta", "meta-released"]


def roots_of(image: str, *, snapshot: bool = False) -> tuple[int, int]:
    anatomy = Anatomy.of(CASE, image, snapshot=snapshot)
    return anatomy.devices[0].block, anatomy.details[0].block


M, D = roots_of("meta", snapshot=True)


def devices_in(xml: bytes) -> bytes:
    """Return all but the superblock's line."""
    return xml.partition(b"\n")[2]


def sound(image: str) -> Path:
    return unpacked(CASE, image)


@pytest.mark.parametrize("image", ["meta", LATER])
@pytest.mark.parametrize("version", ["1.1.0", "0.9.0"])
def test_the_roots_of_a_metadata_snapshot_are_that_state(
    version: str, image: str, thinmeta: Thinmeta
) -> None:
    mapping_root, details_root = roots_of(image, snapshot=True)

    result = thinmeta(
        "dump", "--state", f"{mapping_root}:{details_root}", "--compat", version[:3], sound(image)
    )

    recorded = thin_dump(CASE, image, "thin_dump-m", version)
    assert devices_in(result.stdout_bytes) == devices_in(recorded)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("image", IMAGES)
def test_the_roots_of_an_earlier_copy_are_its_state(image: str, thinmeta: Thinmeta) -> None:
    """The blocks of the earlier state are kept by the metadata snapshot, or still there."""
    mapping_root, details_root = roots_of(EARLIER)
    before = devices_in(sound_output(CASE, EARLIER, "xml-0.9"))

    result = thinmeta(
        *("dump", "--state", f"{mapping_root}:{details_root}", "--compat", "0.9", "--salvage"),
        sound(image),
    )

    walked = DamagedImage.of(CASE, image).sound, DamagedImage.of(CASE, EARLIER).sound
    nodes = Anatomy.of(CASE, EARLIER).nodes()
    if all((walked[0][block] == walked[1][block]).all() for block in nodes):
        assert devices_in(result.stdout_bytes) == before
        assert (result.exit_code, result.stderr) == (0, "")
    else:
        assert result.exit_code == 6


@pytest.mark.parametrize("image", IMAGES)
def test_the_live_roots_are_the_live_state(image: str, thinmeta: Thinmeta) -> None:
    mapping_root, details_root = roots_of(image)
    for state in (f"{mapping_root}:{details_root}", "live"):
        result = thinmeta("dump", "--state", state, sound(image))
        assert result.stdout_bytes == thin_dump(CASE, image, "thin_dump", "1.1.0")


def test_devices_of_a_past_state_are_compared_with_those_of_now(thinmeta: Thinmeta) -> None:
    for by_root, by_name in (((f"1@{M}:{D}", "1"), ("1@snap", "1")), (("1", f"2@{M}:{D}"),) * 2):
        roots = thinmeta("diff", *by_root, "-p", sound("meta"), "-f", "csv")
        names = thinmeta("diff", *by_name, "-p", sound("meta"), "-f", "csv")
        assert roots.exit_code == names.exit_code == 0
        assert roots.stdout == names.stdout
        assert roots.stdout.count("\n") > 1


@pytest.mark.parametrize("device", [1, 2, 3])
def test_a_device_of_a_past_state_maps_what_it_did(device: int, thinmeta: Thinmeta) -> None:
    then = Remains(CASE, snapshot=True).of(device)

    for spec in (f"{device}@{M}:{D}", f"{device}@{M}", f"root:{then.root}"):
        result = thinmeta("diff", spec, spec, "-p", sound("meta"), "-f", "csv", "--only", "same")
        rows = csv.DictReader(io.StringIO(result.stdout))
        assert {
            int(row["origin_begin"]) + place: int(row["left_data_begin"]) + place
            for row in rows
            for place in range(int(row["length"]))
        } == {origin: data for origin, (data, _) in then.whole.items()}


def test_lookup_in_a_past_state(thinmeta: Thinmeta) -> None:
    block, (data, time) = next(iter(Remains(CASE, snapshot=True).of(2).whole.items()))

    gone = thinmeta("lookup", 2, block, "-p", sound("meta"))
    for spec in (f"2@{M}:{D}", f"2@{M}"):
        result = thinmeta("lookup", spec, block, "-p", sound("meta"), "-f", "json")
        answer = json.loads(result.stdout)
        assert (answer["data_block"], answer["time"]) == (data, time)
        assert (result.exit_code, result.stderr) == (0, "")
    assert gone.exit_code == 4


def test_ls_and_rmap_of_a_past_state_are_those_of_the_snapshot(thinmeta: Thinmeta) -> None:
    for args in (("ls",), ("ls", "--tree"), ("rmap", "--region", "0..999")):
        by_roots = thinmeta(*args, "--state", f"{M}:{D}", sound("meta"))
        by_name = thinmeta(*args, "-m", sound("meta"))
        assert by_roots.stdout == by_name.stdout
        assert by_roots.exit_code == by_name.exit_code == 0


def test_without_details_devices_are_shown_by_salvage(thinmeta: Thinmeta) -> None:
    then = Remains(CASE, snapshot=True)

    strict = thinmeta("dump", "--state", M, "--compat", "0.9", sound("meta"))
    result = thinmeta("dump", "--state", M, "--compat", "0.9", "--salvage", sound("meta"))

    assert strict.exit_code == 5
    assert "--salvage shows it all the same" in strict.stderr
    assert result.exit_code == 6
    shown = mappings_by_device(result.stdout_bytes)
    assert [(ids[0], ids[1], mapped) for ids, mapped in shown] == [
        (each.device_id, len(each.whole), each.whole) for each in then.devices
    ]


# Without a superblock.


@pytest.fixture(params=["zeroed", "flipped"])
def headless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    image = DamagedImage.of(CASE)
    if request.param == "zeroed":
        image.zero(0)
    else:
        image.flip_bit(0, 999)
    return image.write_to(tmp_path / "meta.bin")


@pytest.fixture
def without_copies(headless: Path) -> Path:
    """An image that has no superblock at all."""
    image = DamagedImage(headless.read_bytes())
    image.zero(Anatomy.of(CASE).held_root)
    return image.write_to(headless)


def test_a_state_is_read_without_the_superblock(headless: Path, thinmeta: Thinmeta) -> None:
    recorded = thin_dump(CASE, "meta", "thin_dump-m", "1.1.0")

    result = thinmeta("dump", "--state", f"{M}:{D}", headless)

    # The held superblock is a sound copy; it has the data block size and the transaction.
    assert result.stdout_bytes == recorded
    assert result.exit_code == 0


def test_bytes_take_the_data_block_size_where_no_copy_has_it(
    without_copies: Path, thinmeta: Thinmeta
) -> None:
    state = ("--state", f"{M}:{D}", "-p", without_copies)
    in_bytes = [
        ("dump",),
        ("ls",),
        ("ls", "-o", "MAPPED_SECTORS"),
        ("ls", "--tree"),
        ("rmap", "--region", "0..1M"),
        ("diff", "1", "3"),
        ("diff", "1", "3", "-f", "json"),
        ("diff", "1", "3", "-f", "xml"),
        ("lookup", "1", "64K"),
    ]
    sized = ("--data-block-size", "128")

    for run in in_bytes:
        refused = thinmeta(*run, *state)
        assert refused.exit_code == 3, run
        assert "--data-block-size" in refused.stderr
        assert refused.stdout == ""
        known = thinmeta(*run, "--state", f"{M}:{D}", "-p", sound("meta"))
        given = thinmeta(*run, *state, *sized)
        assert given.exit_code == 0, given.stderr
        # The pool's own numbers are lost, which only a superblock's line has.
        has_line = known.stdout.startswith("<superblock")
        shown = [each.stdout_bytes for each in (given, known)]
        assert len(set(map(devices_in, shown) if has_line else shown)) == 1


def test_blocks_need_no_data_block_size(without_copies: Path, thinmeta: Thinmeta) -> None:
    in_blocks = [
        ("ls", "-o", "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,HIGHEST_BLOCK,NEW"),
        ("rmap", "--region", "0..99"),
        ("diff", "1", "3", "-f", "csv"),
    ]
    for run in in_blocks:
        known = thinmeta(*run, "--state", f"{M}:{D}", "-p", sound("meta"))
        result = thinmeta(*run, "--state", f"{M}:{D}", "-p", without_copies)
        assert result.stdout == known.stdout, run
        assert result.exit_code == 0


def test_a_lookup_without_the_data_block_size_tells_blocks(
    without_copies: Path, thinmeta: Thinmeta
) -> None:
    state = ("--state", f"{M}:{D}", "-p")
    known = json.loads(thinmeta("lookup", 1, 0, *state, sound("meta"), "-f", "json").stdout)
    answer = json.loads(thinmeta("lookup", 1, 0, *state, without_copies, "-f", "json").stdout)
    text = thinmeta("lookup", 1, 0, *state, without_copies).stdout

    unknown = {"data_sector", "data_byte", "byte"}
    assert dict.fromkeys(unknown) == {key: answer[key] for key in unknown}
    assert all(answer[key] == known[key] for key in known.keys() - unknown)
    assert "block 0: data block 0\n" in text
    assert "on the data device" not in text


def test_info_is_not_had_without_the_superblock(without_copies: Path, thinmeta: Thinmeta) -> None:
    for more, code in (((), 5), (("--salvage",), 6)):
        result = thinmeta("info", "--state", f"{M}:{D}", *more, without_copies)
        assert (result.exit_code, result.stdout) == (code, "")
        assert "metadata block 0: the superblock" in result.stderr


def test_the_live_state_is_not_read_without_the_superblock(
    headless: Path, thinmeta: Thinmeta
) -> None:
    for args in ((), ("-m",), ("--state", "live")):
        assert thinmeta("dump", *args, headless).exit_code in (3, 5)


# What is no state.


@pytest.mark.parametrize(
    "state",
    [
        "",
        ":",
        "5:",
        ":5",
        "1:2:3",
        "-1",
        "0x10",
        "snap:5",
        "live:",
        "root:5",
        "5 ",
        "\u0665",
        "9" * 5000,
    ],
)
def test_what_is_no_state_is_a_usage_error(state: str, thinmeta: Thinmeta) -> None:
    for args in (
        ("dump", f"--state={state}", sound("meta")),
        ("ls", f"--state={state}", sound("meta")),
    ):
        result = thinmeta(*args)
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("state", ["1@", "1@:", "1@5:", "1@1:2:3", "root:5@-1", "1@snap:5"])
def test_what_is_no_state_of_a_device_is_a_usage_error(state: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "1", state, "-p", sound("meta"))

    assert result.exit_code == 2, result.output


@pytest.mark.parametrize("root", [2048, 2**32, 2**63, 2**64 - 1, 2**64, 10**30])
def test_a_root_past_the_end_is_not_there(root: int, thinmeta: Thinmeta) -> None:
    for args in (
        ("dump", "--state", root),
        ("dump", "--state", f"{M}:{root}"),
        ("ls", "--state", f"{root}:{D}", "--salvage"),
        ("diff", f"1@{root}", "1"),
        ("lookup", f"1@{M}:{root}", "0"),
        ("lookup", f"root:{root}", "0"),
    ):
        result = thinmeta(*args, "-p", sound("meta"))
        assert result.exit_code == 4, (args, result.output)
        assert str(root) in result.stderr or "2048 blocks" in result.stderr


@pytest.mark.parametrize("root", [0, 1, 2, 35, 36, 2047])
def test_a_root_that_is_no_root_is_damage(root: int, thinmeta: Thinmeta) -> None:
    for args in (
        ("dump", "--state", f"{root}:{root}"),
        ("ls", "--state", f"{root}:{root}"),
        ("rmap", "--state", f"{root}:{root}", "--region", "0..9"),
    ):
        strict = thinmeta(*args, "-p", sound("meta"))
        salvaged = thinmeta(*args, "-p", sound("meta"), "--salvage")
        assert strict.exit_code == 5, (args, strict.output)
        assert salvaged.exit_code == 6, (args, salvaged.output)


def test_a_snapshot_option_goes_with_no_other_state(thinmeta: Thinmeta) -> None:
    assert thinmeta("dump", "-m", "--state", f"{M}:{D}", sound("meta")).exit_code == 2
    assert thinmeta("dump", "-m", "--state", "snap", sound("meta")).exit_code == 0


@pytest.mark.parametrize("sectors", ["-1", "0", "100", str(2**64)])
def test_the_sizes_that_a_data_block_can_have_are_named(sectors: str, thinmeta: Thinmeta) -> None:
    refused = thinmeta("check", "--data-block-size", sectors, "unread.bin")

    assert refused.exit_code == ExitCode.USAGE
    assert "it is a multiple of 128 up to 2097152" in refused.stderr
