"""thin-provisioning-tools 1.1.0 and 0.9.0, where `tools/reference-tools` has put them."""

import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("THINMETA_REFERENCE_TOOLS") or CHECKOUT / ".reference-tools")

VERSIONS = ("1.1.0", "0.9.0")

ARE_THERE = all((FOLDER / version / "thin_dump").exists() for version in VERSIONS)
WHY_NOT = f"no thin_dump of both versions in {FOLDER}: tools/reference-tools puts them there"


def run(version: str, tool: str, *args: object) -> bytes:
    """Return what the tool prints.

    Raises:
        AssertionError: it fails; the input was not what the test thinks it is.
    """
    ran = subprocess.run(
        [FOLDER / version / tool, *map(str, args)], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout
