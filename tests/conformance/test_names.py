"""What the thin_* tools print, over every run that was recorded of them on real pools."""

import pytest

from tests.cases import Recorded, image_names, recorded
from tests.conftest import Thinmeta

TOOLS = ("thin_dump", "thin_delta", "thin_ls", "thin_rmap", "thin_check")

FAILS_WITHOUT_DEVICES = "a01-empty-pool/meta/thin_dump-r-1.1.0"
"""It says that no compatible roots are there; the pool is sound, and has no devices."""


def runs_of(case: str, image: str) -> list[Recorded]:
    return [
        run for tool in TOOLS for run in recorded(tool) if (run.case, run.image) == (case, image)
    ]


def is_defective(run: Recorded) -> bool:
    """Return whether what the tool prints is wrong; docs/thin-tools.md lists each.

    `tests.conformance.test_rmap` and `test_diff` hold what is right.
    """
    verbose = "--verbose" in run.args and run.version == "1.1.0"
    return run.tool == "thin_rmap" or verbose or str(run) == FAILS_WITHOUT_DEVICES


def test_there_are_runs_of_each_tool_and_release() -> None:
    runs = [run for tool in TOOLS for run in recorded(tool)]

    assert len(runs) > 1000
    assert {(run.tool, run.version) for run in runs} == {
        (tool, version) for tool in TOOLS for version in ("1.1.0", "0.9.0")
    }


@pytest.mark.parametrize(("case", "image"), image_names())
def test_each_run_prints_the_same_and_ends_the_same(
    case: str, image: str, thinmeta: Thinmeta
) -> None:
    for run in runs_of(case, image):
        words = [run.image_path() if word == "{image}" else word for word in run.args]

        result = thinmeta("as", "--compat", run.version[:3], run.tool, *words)

        expected = run.stdout()
        if str(run) != FAILS_WITHOUT_DEVICES:
            assert result.exit_code == run.exit_code, (run, result.stderr)
        if run.tool == "thin_check" and run.version == "0.9.0":
            # It counts all blocks as free but one.
            assert result.stdout_bytes.splitlines()[:1] == expected.splitlines()[:1], run
        elif not is_defective(run):
            assert result.stdout_bytes == expected, run
