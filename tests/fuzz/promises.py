"""What every command promises, whatever its input, each held against a run by one function."""

import csv
import hashlib
import io
import json
import os
import re
import stat
from pathlib import Path
from xml.etree import ElementTree

from tests.fuzz.forking import Ended
from tests.fuzz.pairs import OUTPUT, Pair
from tests.fuzz.slow_model import Mapped, State, live_state
from thinmeta.errors import ExitCode

CODES = {int(code) for code in ExitCode}
WHOLE = {ExitCode.DONE, ExitCode.SALVAGED, ExitCode.LEAKS}
"""How a command ends that wrote all that it could."""

BYTES_OUT = {
    *("cat", "commit", "export", "extract", "pack", "repair", "restore", "save", "tar"),
    *("undelete", "unpack"),
}
"""Commands whose output is no text."""

REPORTING = {"commit", "copy", "export", "save", "tar"}
"""Commands whose `-f` is about what is said on standard error."""

NEED_MAPPINGS = {"EXCLUSIVE_BLOCKS", "HIGHEST_BYTE", "NEW", "RUNS"}
"""Fields of ls that are counted from mappings."""

MOST_BYTES = 16 << 20
"""Of an output that are read; the end of metadata is empty."""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def assert_report(stderr: str, ended: Ended) -> str:
    """What is said are objects; return the last one as what is said in words."""
    if ended.was_closed:
        return ""
    told = [json.loads(line) for line in stderr.splitlines()]
    if not told or told[-1]["type"] != "error":
        return ""
    assert told[-1]["exit_code"] == ended.exit_code, stderr
    return f"Error: {told[-1]['what']}"


def fingerprint(folder: Path) -> dict[str, str]:
    """Return what each input is: kind, mode, size and contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fspath(path.readlink())
        name = str(path.relative_to(folder))
        found[name] = f"{status.st_mode:o} {status.st_mtime_ns} {content}"
    return found


def assert_ended(pair: Pair, ended: Ended) -> None:
    """It ends by itself, with a documented code, and its last word says why."""
    assert not ended.why, ended.why
    stderr = ended.stderr.decode()
    assert "Traceback" not in stderr, stderr
    assert ended.exit_code in CODES, (ended.exit_code, stderr)
    control = CONTROL.search(stderr)
    assert control is None, (control, stderr)
    last = stderr.splitlines()[-1] if stderr else ""
    if pair.command in REPORTING and pair.has("json") and ended.exit_code != ExitCode.USAGE:
        last = assert_report(stderr, ended)
    if ended.exit_code == ExitCode.DONE:
        assert not last.startswith("Error: "), stderr
    elif ended.exit_code == ExitCode.OTHER and ended.was_closed:
        assert not last or last.startswith(("Error: ", "Warning: ")), stderr
    elif not (pair.command == "check" and pair.has("--quiet")):
        assert last.startswith("Error: "), stderr
    if ended.exit_code == ExitCode.USAGE:
        assert not ended.stdout


def assert_outputs(pair: Pair, ended: Ended) -> None:
    """An output is whole or absent, and nothing else was written."""
    names = {path.name for path in (pair.folder / "out").iterdir()}
    target = pair.folder / OUTPUT
    allowed = {target.name} if pair.has("--output") or pair.command == "copy" else set()
    resumable = pair.command == "extract" and pair.has("--salvage")
    if resumable:
        allowed |= {f"{target.name}.map"}
    assert names <= allowed, names
    if pair.command == "copy":
        assert not [*target.rglob(".thinmeta-*")], "something was left half-way"
    if not pair.has("--output") or resumable:
        return
    if ended.exit_code in WHOLE:
        # Of a single block nothing may be left to tell.
        assert names or pair.command == "lookup", "there is no output"
        assert not ended.stdout or pair.command in ("repair", "undelete"), ended.stdout[:200]
    elif ended.exit_code != ExitCode.DAMAGE:
        assert not names, "there is an output in spite of the error"


def text_of(pair: Pair, ended: Ended) -> str | None:
    """Return what was printed as a whole; None where it was not, or is no text."""
    if (
        pair.command in BYTES_OUT
        or pair.has("-0")
        or ended.was_closed
        or ended.exit_code not in WHOLE
    ):
        return None
    target = pair.folder / OUTPUT
    if pair.has("--output"):
        if not target.exists() or target.stat().st_size > MOST_BYTES:
            return None
        return target.read_bytes().decode()
    return ended.stdout.decode()


def assert_well_formed(pair: Pair, ended: Ended) -> None:
    """What is printed can be parsed, and does nothing to a terminal."""
    text = text_of(pair, ended)
    if text is None:
        return
    assert CONTROL.search(text) is None, CONTROL.search(text)
    if pair.has("json"):
        rows = [json.loads(line) for line in text.splitlines()]
        assert pair.command != "dump" or rows[-1]["type"] == "end"
    elif pair.has("csv"):
        assert len({len(row) for row in csv.reader(io.StringIO(text))}) <= 1
    elif (pair.command == "dump" and not pair.has("human_readable")) or pair.has("xml"):
        ElementTree.fromstring(text)


def _is_partial(pair: Pair) -> bool:
    """Tell whether the command reads something else than all of the live state."""
    return pair.has(
        *("--metadata-snap", "--state", "--skip-mappings", "--super-block-only", "--mapping-root"),
        *("--details-root", "--dev-id", "--data-block-size", "--nr-data-blocks"),
    )


def _reads_all(pair: Pair) -> bool:
    """Tell whether the command reads every mapping of the pool."""
    if pair.command == "ls" and pair.has("-o"):
        return bool(NEED_MAPPINGS & set(pair.args[pair.args.index("-o") + 1].split(",")))
    return pair.command in ("check", "dump", "repair", "rmap", "undelete")


def _lost(state: State) -> bool:
    """Tell whether more than devices that have nothing is lost."""
    return bool(state.bad) and any(
        len(state.mapped.get(each, {})) != numbers[0] for each, numbers in state.details.items()
    )


def assert_nothing_is_lost_in_silence(pair: Pair, ended: Ended) -> None:
    """Where all is said to be well, a slow reader finds all that was printed or written."""
    if pair.image is None or ended.exit_code != ExitCode.DONE or _is_partial(pair):
        return
    if not _reads_all(pair):
        return
    if pair.has("--quiet") or b"going on with state" in ended.stderr:
        return  # another state was taken, and may have all that this one had
    state = live_state(pair.image)
    if state is None:
        return
    if b" are proven by " in ended.stderr:
        _assert_all_is_there(pair, ended, state)
        return
    assert not _lost(state), f"{sorted(state.bad)[:5]} are lost, and nothing is said"
    if pair.command == "check":
        assert state.agrees
        assert state.fits
    elif pair.command == "dump" and pair.has("json"):
        text = text_of(pair, ended)
        assert text is None or _of_json(text) == state.mapped
    elif pair.command == "rmap":
        text = text_of(pair, ended)
        regions = _regions(pair)
        if text is not None and regions and not pair.has("json", "csv"):
            assert _of_lines(text) == {
                (data, device_id, origin)
                for device_id, mapped in state.mapped.items()
                for origin, (data, _) in mapped.items()
                if any(begin <= data < end for begin, end in regions)
            }
    elif pair.command in ("repair", "undelete"):
        with (pair.folder / OUTPUT).open("rb") as file:
            written = live_state(file.read(MOST_BYTES))
        assert written is not None
        assert not written.bad
        back = written.mapped.keys() - state.mapped.keys()
        assert bool(back) == (pair.command == "undelete")
        assert {each: written.mapped[each] for each in state.mapped} == state.mapped
        assert written.agrees


def _assert_all_is_there(pair: Pair, ended: Ended, state: State) -> None:
    """What is proven is beside all that a slow reader finds, and makes the devices whole."""
    found = None
    if pair.command == "dump" and pair.has("json"):
        text = text_of(pair, ended)
        found = None if text is None else _of_json(text)
    elif pair.command == "repair":
        with (pair.folder / OUTPUT).open("rb") as file:
            written = live_state(file.read(MOST_BYTES))
        assert written is not None
        assert not written.bad
        found = written.mapped
    if found is not None:
        for device_id, mapped in state.mapped.items():
            assert mapped.items() <= found[device_id].items(), device_id
        for device_id, numbers in state.details.items():
            assert len(found[device_id]) >= numbers[0], device_id


def _of_json(text: str) -> dict[int, Mapped]:
    found: dict[int, Mapped] = {}
    for line in map(json.loads, text.splitlines()):
        if line["type"] == "device":
            found[line["device_id"]] = {}
        elif line["type"] == "run":
            mapped = found[line["device_id"]]
            for more in range(line["length"]):
                mapped[line["origin_begin"] + more] = line["data_begin"] + more, line["time"]
    return found


def _regions(pair: Pair) -> list[tuple[int, int]]:
    """Return the data blocks that were asked for; none where they were given in bytes."""
    words = [word for at, word in enumerate(pair.args) if pair.args[at - 1] == "--region"]
    found = [re.fullmatch(r"(\d+)\.\.(\d+)", word) for word in words]
    return [(int(match[1]), int(match[2])) for match in found if match] if all(found) else []


def _of_lines(text: str) -> set[tuple[int, int, int]]:
    """Return data block, device and origin block of each mapping in rmap's lines."""
    found = set()
    for line in text.splitlines():
        if line.startswith("  "):
            continue  # what --files shows of a run
        match = re.fullmatch(r"data (\d+)\.\.(\d+) -> thin\((\d+)\) (\d+)\.\.\d+", line)
        assert match, line
        begin, end, device_id, origin = map(int, match.groups())
        found |= {(begin + more, device_id, origin + more) for more in range(end - begin)}
    return found
