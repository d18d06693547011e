"""Prints the files that pytest would collect from, without importing them."""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest


class Offered:
    """Notes each file that pytest does not ignore, and has it ignored after all."""

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(
        self, collection_path: Path
    ) -> Generator[None, bool | None, bool | None]:
        is_ignored = yield
        if collection_path.is_dir():
            return is_ignored
        if not is_ignored:
            sys.stdout.write(f"{collection_path}\n")
        return True


if __name__ == "__main__":
    pytest.main(["--collect-only", "--quiet", *sys.argv[1:]], plugins=[Offered()])
