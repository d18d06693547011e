"""What all tests share."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cases import FIXTURES
from thinmeta.cli import main


@pytest.fixture(scope="module")
def original_datadir() -> Path:
    """pytest-datadir's hook: `lazy_datadir` copies from the top-level fixtures/."""
    return FIXTURES


class Thinmeta:
    """The command, run in this process."""

    def __call__(self, *args: object) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], env={"THINMETA_POOL": ""})


@pytest.fixture(scope="session")
def thinmeta() -> Thinmeta:
    return Thinmeta()
