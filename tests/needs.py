"""What a test needs beside Python, each a marker; a test that lacks something is skipped.

`-m 'not live'` leaves those out that run the reference tools.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.conformance import reference_tools

CHECKOUT = Path(__file__).resolve().parents[1]
THOROUGH = "THINMETA_THOROUGH"
IS_THOROUGH = bool(os.environ.get(THOROUGH))
"""Tests that go through everything do; else they take part of it, every kind of it."""

CHROOTS = Path(os.environ.get("THINMETA_CHROOTS") or CHECKOUT / ".chroots")


def _no_loop_devices() -> str | None:
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        return "loop devices are for root, and for a kernel that has them"
    return (
        None
        if shutil.which("losetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        else "losetup is not installed"
    )


def _no_reference_tools() -> str | None:
    return _no_time() if reference_tools.ARE_THERE else reference_tools.WHY_NOT


def _no_time() -> str | None:
    return None if IS_THOROUGH else f"takes long: {THOROUGH}=1 runs it, as CI does"


def _no_chroot() -> str | None:
    if os.geteuid() != 0:
        return "a chroot is for root"
    return None if chroots() else f"no Debian in {CHROOTS}: tools/debian makes one there"


NEEDS: dict[str, Callable[[], str | None]] = {
    "chroot": _no_chroot,
    "live": _no_reference_tools,
    "loop_device": _no_loop_devices,
    "thorough": _no_time,
}
"""By marker: why it cannot be had here, or None."""


def chroots() -> list[str]:
    """Return the releases of Debian that `tools/debian` has made."""
    return sorted(path.name for path in CHROOTS.glob("*") if (path / "etc/debian_version").exists())
