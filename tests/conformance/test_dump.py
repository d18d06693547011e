"""Our dump of every fixture equals what thin_dump printed for it, byte for byte."""

import pytest

from tests.cases import Recorded, case_names, image_names, recorded
from tests.conftest import Thinmeta

# -r is thin_dump's repair; the recorded runs of it belong to another command.
RUNS = [run for run in recorded("thin_dump") if "-r" not in run.args]


def test_the_corpus_has_not_shrunk() -> None:
    assert len(case_names()) >= 22
    assert len(image_names()) >= 32
    assert len(RUNS) >= 450


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_dump_equals_thin_dump(run: Recorded, thinmeta: Thinmeta) -> None:
    image = str(run.image_path())
    args = [image if arg == "{image}" else arg for arg in run.args]

    result = thinmeta("dump", "--compat", run.version.removesuffix(".0"), *args)

    assert result.stdout_bytes == run.stdout()
    if run.exit_code == 0:
        assert result.exit_code == 0, result.stderr
    else:
        assert "no current metadata snap" in run.stderr
        assert result.exit_code == 4, result.stderr
        assert "no metadata snapshot is held" in result.stderr
