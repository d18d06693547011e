"""How much memory a command takes, in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

MOST = 300
"""MiB that a command may take for a file below 16 MiB, whatever is in it."""

# A child's ru_maxrss begins with the memory of its parent; VmHWM is its own.
_SCRIPT = """
import re, sys
from thinmeta.cli import main
try:
    main(sys.argv[1:])
finally:
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]
    print("peak", peak, file=sys.stderr)
"""


class Ran(NamedTuple):
    """How a command ended; its peak in MiB."""

    exit_code: int
    stdout: str
    stderr: str
    peak: int


def measured(*args: Path | str, seconds: float = 120) -> Ran:
    """Run the command; fail if it takes longer than `seconds`, which a busy machine stretches."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    stderr, _, peak = done.stderr.rpartition("peak ")
    return Ran(done.returncode, done.stdout, stderr, int(peak) >> 10)
