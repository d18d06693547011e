"""What all tests share."""

import ctypes
import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result
from pytest_datadir.plugin import LazyDataDir

from tests.cases import UNPACKED, unpacked
from tests.in_process import invoked
from tests.needs import NEEDS

_M_MMAP_THRESHOLD = -3  # Source: glibc, malloc.h.


def pytest_configure(config: pytest.Config) -> None:
    """Give the workers that are to come one folder for what they unpack."""
    for number in (signal.SIGHUP, signal.SIGINT):
        # Processes behind nohup, or behind a shell, would ignore it as we do.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    _give_back_memory()
    if UNPACKED not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="thinmeta-tests-")
        Path(folder.name).chmod(0o755)  # some tests are nobody
        os.environ[UNPACKED] = folder.name
        config.add_cleanup(folder.cleanup)


def _give_back_memory() -> None:
    """Have glibc return each large piece; by itself it keeps gigabytes over all tests."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 4 << 20)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what is not here, before its fixtures are made."""
    for marker in item.iter_markers():
        why_not = NEEDS[marker.name]() if marker.name in NEEDS else None
        if why_not is not None:
            pytest.skip(why_not)


@pytest.fixture(scope="module")
def original_datadir() -> Path:
    """pytest-datadir's hook: `lazy_datadir` copies from where images are unpacked."""
    return Path(os.environ[UNPACKED])


class OwnImage:
    """Copies an image of `fixtures/` into the test's folder, where it may be written to."""

    def __init__(self, folder: LazyDataDir) -> None:
        self._folder = folder

    def __call__(self, case_name: str, image: str = "meta") -> Path:
        path = self._folder / unpacked(case_name, image).name
        path.chmod(0o644)
        return path


@pytest.fixture
def own_image(lazy_datadir: LazyDataDir) -> OwnImage:
    return OwnImage(lazy_datadir)


class Thinmeta:
    """The command, run in this process."""

    def __call__(self, *args: object) -> Result:
        return invoked(*args)


@pytest.fixture(scope="session")
def thinmeta() -> Thinmeta:
    return Thinmeta()
