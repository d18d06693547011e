"""Every command with the least that it takes, for tests that hold for all of them."""

import subprocess
import sys
from pathlib import Path
from typing import IO

import click

from thinmeta.cli import main

COMMANDS = main.list_commands(click.Context(main))

# What a command takes besides the pool, so that it succeeds on GOOD.
MINIMAL: dict[str, tuple[str, ...]] = {
    "check": (),
    "diff": ("1", "2"),
    "dump": (),
    "info": (),
    "lookup": ("1", "0"),
    "ls": (),
    "rmap": ("--region", "0..100"),
}

GOOD = "a08-snapshots-of-snapshots/meta.bin.xz"


def arguments(command: str, metadata: Path | str | bytes) -> list[Path | str | bytes]:
    """Return the least that makes `command` read `metadata`."""
    return [command, *MINIMAL[command], "--pool", metadata]


def has_option(command: str, name: str) -> bool:
    found = main.get_command(click.Context(main), command)
    assert found is not None
    return any(name in param.opts for param in found.params)


def process(
    *args: Path | str | bytes, stdout: int | IO[bytes] = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "thinmeta", *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def modules_after(args: list[str]) -> set[str]:
    """Return the top-level modules that a run of the command has loaded when it ends."""
    script = (
        "import sys\n"
        "from thinmeta.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as done:\n"
        "    assert not done.code\n"
        "print('--', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.rpartition("-- ")[2].split())
