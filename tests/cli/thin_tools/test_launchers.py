import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.golden import thin_dump

A08 = "a08-snapshots-of-snapshots"
HARMLESS = {
    *("thin_dump", "thin_delta", "thin_ls", "thin_rmap"),
    *("thin_metadata_pack", "thin_metadata_unpack", "thin_metadata_size"),
}
ON_REQUEST = {
    *("thin_check", "thin_repair", "thin_restore"),
    *("thin_trim", "thin_shrink", "thin_migrate"),
}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_launcher_is_the_tool(tmp_path: Path, thinmeta: Thinmeta) -> None:
    names, elsewhere = tmp_path / "a b", tmp_path / "elsewhere"
    for folder in (names, elsewhere):
        folder.mkdir()
    (elsewhere / "thinmeta.py").write_text("raise SystemExit('the wrong module')")
    assert thinmeta("install-names", names).exit_code == 0

    ran = subprocess.run(
        [names / "thin_dump", unpacked(A08)],
        cwd=elsewhere,
        capture_output=True,
        check=False,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
    )

    assert ran.stderr == b""
    assert ran.stdout == thin_dump(A08, "meta", "thin_dump", "1.1.0")


def test_what_others_rely_on_is_put_on_request(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("install-names", tmp_path)

    assert names_in(tmp_path) == HARMLESS
    assert "left out: thin_check, thin_repair, thin_restore" in result.stdout
    thinmeta("install-names", tmp_path, "--remove")
    thinmeta("install-names", tmp_path, "--all")
    assert names_in(tmp_path) == HARMLESS | ON_REQUEST


def test_a_release_may_be_given_for_all(tmp_path: Path, thinmeta: Thinmeta) -> None:
    thinmeta("install-names", tmp_path, "--compat", "0.9")

    ran = subprocess.run([tmp_path / "thin_ls", "-V"], capture_output=True, check=True)

    assert ran.stdout == b"0.9.0\n"


def test_a_file_that_is_there_stays(tmp_path: Path, thinmeta: Thinmeta) -> None:
    (tmp_path / "thin_rmap").symlink_to("nowhere")

    result = thinmeta("install-names", tmp_path)

    assert result.exit_code == 1
    assert "thin_rmap: is there already; nothing was installed" in result.stderr
    assert names_in(tmp_path) == {"thin_rmap"}


def test_only_launchers_are_removed(tmp_path: Path, thinmeta: Thinmeta) -> None:
    thinmeta("install-names", tmp_path)
    (tmp_path / "thin_ls").write_text("#!/bin/sh\nexec /usr/sbin/thin_ls\n")

    result = thinmeta("install-names", tmp_path, "--remove")

    assert result.exit_code == 0
    assert names_in(tmp_path) == {"thin_ls"}


def test_what_is_no_file_is_left_and_not_waited_for(tmp_path: Path, thinmeta: Thinmeta) -> None:
    (tmp_path / "thin_dump").mkdir()
    os.mkfifo(tmp_path / "thin_ls")

    assert thinmeta("install-names", tmp_path, "--remove").exit_code == 0
    assert names_in(tmp_path) == {"thin_dump", "thin_ls"}


def test_a_python_of_any_name_is_found(
    tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / os.fsdecode(b"a 'b\n$c\xff")
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    names = tmp_path / "names"
    names.mkdir()
    thinmeta("install-names", names)

    ran = subprocess.run([names / "thin_ls", "a  b"], capture_output=True, check=True)

    assert ran.stdout == b"-P -m thinmeta as thin_ls a  b\n"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("install-names", tmp_path / "missing")

    assert result.exit_code == 1
    assert "missing" in result.stderr
    assert "No such file or directory" in result.stderr
