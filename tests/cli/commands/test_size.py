import json

import pytest

from tests.conftest import Thinmeta

# What thin_metadata_size 1.1.0 and 0.9.0 print; `tests.conformance.test_invocations` runs them.
PRINTED = {
    "-b 128 -s 2097152 -m 1": "1064 sectors",
    "-b 64k -s 1t -m 1000": "1073232 sectors",
    "-b 64k -s 1t -m 1000 -u m": "524.04 mebibytes",
    "-b 64k -s 1t -m 1000 -u m -n": "524.04",
    "-b 64k -s 1t -m 1000 -n short -u M": "549.49M",
    "-b 64k -s 1t -m 1000 -n=long -u g": None,
    "-b 64k -s 1t -m 1000 --numeric-only=long -u g": "0.5117568969726563gibibytes",
    "-b 64k -s 1t -m 1000 -u t": "0.0004997625946998596 terabytes",
    "-b 64k -s 100t -m 10": "33292800 sectors",
    "-b 513b -s 1000000 -m 100 -n --compat 0.9": "64296",
    "-b 64k -s 1g -m 1 --compat 0.9": (
        "thin_metadata_size - 1056 sectors estimated metadata area size for "
        '"--block-size=64kibibytes --pool-size=1gibibytes --max-thins=1"'
    ),
}


@pytest.mark.parametrize("words", PRINTED)
def test_it_prints_what_thin_metadata_size_does(words: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("size", *words.split())

    if PRINTED[words] is None:
        assert result.exit_code == 2
    else:
        assert result.stdout == f"{PRINTED[words]}\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("-b 65 -s 1t -m 1", "a multiple of 64 KiB"),
        ("-b 2g -s 4t -m 1", "1 GiB at most"),
        ("-b 128 -s 64 -m 1", "as large as a data block"),
        ("-b 128 -s 128 -m 1 --compat 0.9", "larger than a data block"),
        ("-b 64k -s 65537b -m 1 --compat 0.9", "larger than a data block"),
        ("-b 192k -s 1t -m 1 --compat 0.9", "a power of 2"),
        ("-b 128b -s 1t -m 1 --compat 0.9", "a power of 2"),
    ],
)
def test_what_no_pool_can_be_is_refused(words: str, why: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("size", *words.split())

    assert result.exit_code == 3
    assert why in result.stderr


@pytest.mark.parametrize(
    "words",
    ["-b 64k -s 1t", "--metadata-size 1M -s 1t", "-b 64.5k -s 1t -m 1", "-b 64k -s 1t -m 1 -u x"],
)
def test_a_wrong_command_line_is_said(words: str, thinmeta: Thinmeta) -> None:
    assert thinmeta("size", *words.split()).exit_code == 2


def test_json_has_blocks_and_bytes(thinmeta: Thinmeta) -> None:
    result = thinmeta("size", "-b", "64k", "-s", "1t", "-m", "1000", "-f", "json")

    assert json.loads(result.stdout) == {
        "type": "metadata_size",
        "nr_blocks": 134154,
        "size_bytes": 134154 * 4096,
    }


def test_the_other_way_round_is_what_fits(thinmeta: Thinmeta) -> None:
    words = ("size", "--metadata-size", "134154", "-m", "1000", "-b", "64k", "-f", "json")

    found = json.loads(thinmeta(*words).stdout)

    # A pool of 1 TiB needs just this much.
    assert found["nr_mappings"] - (1 << 24) in range(126)
    assert found["data_bytes"] == found["nr_mappings"] * 65536
    assert found["nr_mappings_at_most"] == 2 * found["nr_mappings"]


def test_the_kernel_uses_no_more_than_it_can(thinmeta: Thinmeta) -> None:
    def fits(size: str) -> str:
        return thinmeta("size", "--metadata-size", size).stdout

    assert fits("17G") == fits("100G")
