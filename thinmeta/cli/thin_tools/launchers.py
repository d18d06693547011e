"""Small shell scripts by the names of the thin_* tools that run `thinmeta as`."""

import os
import shlex
import stat
import sys
from contextlib import suppress
from pathlib import Path

from thinmeta.errors import OutputError

_MARK = "# Made by `thinmeta install-names`; `thinmeta install-names --remove` takes it away."


def install(folder: Path, names: tuple[str, ...], compat: str | None) -> list[Path]:
    """Write a launcher for each name, all or none; return their paths.

    Raises:
        OutputError: one of them is there, or cannot be written.
    """
    paths = [folder / name for name in names]
    for path in paths:
        if os.path.lexists(path):
            raise OutputError(f"{path}: is there already; nothing was installed")
    scripts = [_script(name, compat) for name in names]
    written: list[Path] = []
    try:
        for path, script in zip(paths, scripts, strict=True):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
            written.append(path)
            with open(fd, "wb") as file:  # noqa: PTH123
                file.write(script)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise OutputError(f"{error.filename or folder}: {error.strerror}") from error
    return paths


def uninstall(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Remove the launchers that are there, and nothing else; return their paths.

    Raises:
        OutputError: one cannot be removed.
    """
    removed = []
    for path in (folder / name for name in names):
        try:
            is_file = stat.S_ISREG(path.lstat().st_mode)  # a pipe would wait for a writer
            if not is_file or _MARK not in path.read_text(errors="replace"):
                continue
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}") from error
        removed.append(path)
    return removed


def _script(name: str, compat: str | None) -> bytes:
    # -P: who runs it may stand in a folder with a module of any name.
    words = [sys.executable, "-P", "-m", "thinmeta", "as"]
    words += ["--compat", compat] if compat else []
    return os.fsencode(f'#!/bin/sh\n{_MARK}\nexec {shlex.join([*words, name])} "$@"\n')
