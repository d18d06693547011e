"""Our table of every fixture equals what thin_ls printed for it, byte for byte."""

import pytest

from tests.cases import Recorded, recorded
from tests.conftest import Thinmeta

RUNS = recorded("thin_ls")


def test_the_corpus_has_not_shrunk() -> None:
    assert len(RUNS) >= 192
    assert sum(run.exit_code == 0 for run in RUNS) >= 138


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_ls_equals_thin_ls(run: Recorded, thinmeta: Thinmeta) -> None:
    image = str(run.image_path())
    args = [image if arg == "{image}" else arg for arg in run.args]

    result = thinmeta("ls", "--compat", run.version.removesuffix(".0"), *args)

    assert result.stdout_bytes == run.stdout()
    if run.exit_code == 0:
        assert result.exit_code == 0, result.stderr
    else:
        assert "no current metadata snap" in run.stderr
        assert result.exit_code == 4, result.stderr
