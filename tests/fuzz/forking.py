"""Runs commands in children of one process that has imported everything, with limits.

A child begins with all modules loaded, so a run costs what the command itself does, and
memory is counted from there: `NR_MIB` more than the parent has, and not more. As a
program this is that parent; `Forking` starts it and speaks to it, a JSON object a line.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NR_MIB = 300
CPU_SECONDS = 40
WALL_SECONDS = 240
LARGEST_STDOUT = 8 << 20
"""Bytes after which nobody listens any more, as `| head` does."""
LARGEST_STDERR = 4 << 20
"""Bytes of it that are read, from its end."""
LARGEST_FOLDER = 512 << 20
"""Bytes on the disk after which the command is stopped."""

CHECKOUT = Path(__file__).resolve().parents[2]
CRASHED = 99


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        exit_code: None if it was killed.
        why: it was killed; else empty.
        stdout: what was read of it.
        was_closed: more was printed than is read.
        seconds: of CPU time.
        nr_mib: that it needed at most, beyond what its parent had.
    """

    exit_code: int | None
    why: str
    stdout: bytes
    was_closed: bool
    stderr: bytes
    seconds: float
    nr_mib: float


class Forking:
    """The process whose children run the commands."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error::RuntimeWarning", "-m", "tests.fuzz.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            env=environment | {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def run(self, folder: Path, args: list[str], stdin: Path | None = None) -> Ended:
        """Run a command in `folder`, in which nothing but what it writes is new afterwards."""
        assert self._server.stdin
        assert self._server.stdout
        request = {"folder": str(folder), "args": args, "stdin": str(stdin or os.devnull)}
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        streams = {name: answer[name].encode("latin-1") for name in ("stdout", "stderr")}
        return Ended(**answer | streams)


def _child(request: dict[str, Any], stdout: int, stderr: int) -> None:
    """Be the command, and end."""
    from thinmeta.cli import main

    stdin = os.open(request["stdin"], os.O_RDONLY)
    for ours, theirs in enumerate((stdin, stdout, stderr)):
        os.dup2(theirs, ours)
    os.closerange(3, 100)
    os.chdir(request["folder"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 2))
    most = (_vm("VmSize") + NR_MIB * 1024) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    code: Any = 0
    try:
        main(request["args"], prog_name="thinmeta")
    except SystemExit as done:
        code = done.code
    except BaseException:  # noqa: BLE001  # told, and the child must end here
        traceback.print_exc()
        code = CRASHED
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or CRASHED
    os._exit(code if isinstance(code, int) else int(bool(code)))


def _vm(name: str) -> int:
    """Return a size of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def _size_of(folder: str) -> int:
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{here}/{name}").st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _run(request: dict[str, Any]) -> dict[str, Any]:
    reader, writer = os.pipe()
    stderr = os.memfd_create("stderr")
    before = _vm("VmRSS")
    child = os.fork()
    if not child:
        os.close(reader)
        _child(request, writer, stderr)
    os.close(writer)
    stdout, why, was_closed, peak = bytearray(), "", False, 0
    begin = looked = time.monotonic()
    ended = False
    while not ended:
        ready = select.select([reader] if reader >= 0 else [], [], [], 0.02)[0]
        if ready:
            part = os.read(reader, 1 << 20)
            stdout += part
            was_closed = len(stdout) > LARGEST_STDOUT
            if not part or was_closed:
                os.close(reader)
                reader = -1
        now = time.monotonic()
        if now - looked > 0.5:
            looked = now
            if now - begin > WALL_SECONDS:
                why = f"more than {WALL_SECONDS} seconds"
            elif _size_of(request["folder"]) > LARGEST_FOLDER:
                why = f"wrote more than {LARGEST_FOLDER >> 20} MiB"
            if why:
                os.kill(child, signal.SIGKILL)
        if reader < 0 or why:
            pid, status, usage = os.wait4(child, 0 if why else os.WNOHANG)
            ended = pid == child
            if not ended:
                time.sleep(0.002)
    if reader >= 0:
        os.close(reader)
    peak = max(0, usage.ru_maxrss - before)
    code = os.waitstatus_to_exitcode(status)
    seconds = usage.ru_utime + usage.ru_stime
    if code < 0 and not why:
        slow = -code in (signal.SIGXCPU, signal.SIGKILL) and seconds > CPU_SECONDS - 1
        why = f"more than {CPU_SECONDS} seconds of CPU" if slow else signal.Signals(-code).name
    size = os.fstat(stderr).st_size
    text = os.pread(stderr, LARGEST_STDERR, max(0, size - LARGEST_STDERR))
    os.close(stderr)
    return {
        "exit_code": None if code < 0 else code,
        "why": why,
        "stdout": stdout.decode("latin-1"),
        "was_closed": was_closed,
        "stderr": text.decode("latin-1"),
        "seconds": seconds,
        "nr_mib": peak / 1024,
    }


def serve() -> None:
    """Run what standard input asks for, until it ends."""
    from importlib import import_module
    from pkgutil import walk_packages

    import thinmeta

    for module in walk_packages(thinmeta.__path__, "thinmeta."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for line in requests:
        answers.write(json.dumps(_run(json.loads(line))).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    serve()
