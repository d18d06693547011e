"""What tools/debian runs, it runs as an ordinary user, and with nothing of this environment."""

import os
import subprocess

import pytest

from tests.needs import CHECKOUT, CHROOTS, chroots


@pytest.mark.chroot
def test_a_command_runs_as_a_user_with_an_environment_of_its_own() -> None:
    release = chroots()[0]
    command = "id -u; pwd; env | cut -d= -f1; exit 7"

    ran = subprocess.run(
        [CHECKOUT / "tools/debian", release, command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "THINMETA_CHROOTS": str(CHROOTS), "THINMETA_POOL": "of the host"},
    )

    user, folder, *names = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (7, "")
    assert user != "0"
    assert folder == "/home/tester/a checkout"
    assert {"HOME", "LANG", "PATH", "USER"} <= set(names)
    assert [name for name in names if name.startswith(("PYTHON", "PIP", "THINMETA"))] == []
