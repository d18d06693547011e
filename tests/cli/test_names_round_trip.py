"""Every name that is printed names that device in every command that takes one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.lvm.lvm_disks import REAL, external_disk, external_group, real_disk, texts_on
from tests.names.docker_roots import CASES, copied, state_of
from thinmeta.cli import main
from thinmeta.errors import ExitCode

PAST = ("124:126", "67:69")
DIRECT, LOOP = CASES


def docker(case: str, image: str = "meta") -> tuple[object, ...]:
    data = ("--data", unpacked(case, "data"))
    return ("-p", unpacked(case, image), "--docker-root", state_of(case), *data)


SOURCES: dict[str, tuple[object, ...]] = {
    **{case: docker(case) for case in CASES},
    f"{LOOP} -m": (*docker(LOOP, "meta-live-msnap"), "-m"),
    "pool0": ("--lvm", real_disk(), "--lv", "vgthin/pool0"),
    "pool-b": ("--lvm", real_disk(), "--lv", "vgthin/pool-b"),
    **{state: ("--lvm", real_disk(), "--lv", "vgthin/pool0", "--state", state) for state in PAST},
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "lookup": ("lookup", "NAME", "0"),
    "diff": ("diff", "NAME", "NAME", "--summary", "-f", "json"),
    "fate": ("fate", "NAME"),
    "commit": ("commit", "NAME", "new:image"),
    "export": ("export", "NAME"),
    "extract": ("extract", "NAME", "--size", "4K"),
    "files": ("files", "NAME", "/", "--all"),
    "cat": ("cat", "NAME", "/nothing"),
    "copy": ("copy", "NAME", "/nothing", "out"),
    "tar": ("tar", "NAME", "/", "--all"),
    "table": ("table", "NAME", "--linear", "/dev/x"),
    "dump": ("dump", "--dev-id", "NAME"),
    "ls": ("ls", "--together", "NAME"),
}

OF_FILES = ("cat", "commit", "copy", "export", "files", "tar")
AFTER_THE_NAME = re.compile(
    "/nothing: is not there\n|say where the data is|has no file system: its first .* are zeros|"
    "is an image: |is no container: |containers are Docker's: "
)
"""What is wrong once the device was found."""


def taking_devices() -> set[str]:
    """Return the commands with a DEVICE among their parameters."""
    context = click.Context(main)
    found = set()
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        if any("device" in (each.type.name, each.name) for each in command.params):
            found.add(name)
    return found


def test_all_commands_that_take_a_device_are_tried() -> None:
    """But for `undelete`, whose DEVICE is there no more."""
    assert {*COMMANDS, "undelete"} == taking_devices()


def devices_in(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        each = json.loads(line)
        if each["type"] in ("device", "layer") and each["name"] is not None:
            yield each


def words_for(command: str, name: object, source: tuple[object, ...]) -> list[object]:
    """Return a command line; only `extract` is told where the data is."""
    words = list(source)
    if command != "extract" and "--data" in words:
        at = words.index("--data")
        del words[at : at + 2]
    return [name if word == "NAME" else word for word in COMMANDS[command]] + words


@pytest.mark.thorough
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_printed_name_is_taken_by_every_command(
    source: tuple[object, ...], thinmeta: Thinmeta
) -> None:
    plain = words_for("lookup", "", source)[3:]
    listed = thinmeta("ls", "-f", "json", *plain)
    names = {each["name"]: each["device_id"] for each in devices_in(listed.stdout)}
    text = thinmeta("ls", *plain, "-o", "DEV,NAME").stdout
    assert {line.split()[1]: int(line.split()[0]) for line in text.splitlines()[1:]} == names
    if "--docker-root" in source:
        layered = thinmeta("layers", "-f", "json", *plain)
        layers = {each["name"]: each["device_id"] for each in devices_in(layered.stdout)}
        assert layers == names
        for name in layers:
            assert thinmeta("layers", name, *plain).exit_code == ExitCode.DONE
    assert len(names) >= (1 if "vgthin/pool-b" in source else 3)

    for name, device_id in names.items():
        results = {each: thinmeta(*words_for(each, name, source)) for each in COMMANDS}
        for each in OF_FILES:
            result = results.pop(each)
            is_known = result.exit_code == ExitCode.DONE or AFTER_THE_NAME.search(result.stderr)
            assert is_known, (each, name, result.stderr)
        exit_codes = {each: result.exit_code for each, result in results.items()}
        assert set(exit_codes.values()) == {ExitCode.DONE}, (name, exit_codes)
        known = json.loads(results["diff"].stdout.splitlines()[0])["left"]
        assert (known["device_id"], known["known_as"]) == (device_id, name)
        for command in ("extract", "dump"):
            by_id = thinmeta(*words_for(command, device_id, source))
            assert results[command].stdout_bytes == by_id.stdout_bytes


ODD = {"created1": "186", "dead1": "base", "runner": "dead1-init"}
"""What containers may be called: an id, the base device, another one's init device."""


def test_names_that_would_be_read_as_something_else_are_printed_to_be_typed(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    root = copied(tmp_path / "docker")
    for path in root.glob("containers/*/config.v2.json"):
        config = json.loads(path.read_text())
        config["Name"] = "/" + ODD[config["Name"][1:]]
        path.write_text(json.dumps(config))
    repositories = root / "image/devicemapper/repositories.json"
    repositories.write_text(
        repositories.read_text()
        .replace('"demo:latest"', '"root:186"')
        .replace('"demo2:latest"', '"name:v1"')
    )
    words = ("-p", unpacked(LOOP), "--docker-root", root)

    listed = thinmeta("ls", "-f", "json", *words)
    names = {each["device_id"]: each["name"] for each in devices_in(listed.stdout)}

    assert listed.stderr == ""
    assert (names[1], names[31]) == ("base", "name:186")
    assert (names[8], names[17]) == ("name:root:186", "name:name:v1")
    assert names[29] == "dead1-init"
    assert len(set(names.values())) == len(names) == 14
    for device_id, name in names.items():
        by_name = thinmeta("lookup", name, 0, "-f", "json", *words)
        by_id = thinmeta("lookup", device_id, 0, "-f", "json", *words)
        assert by_name.exit_code == ExitCode.DONE, by_name.stderr
        assert json.loads(by_name.stdout)["data_block"] == json.loads(by_id.stdout)["data_block"]
        assert thinmeta("layers", name, *words).exit_code == ExitCode.DONE


def test_removed_volumes_and_external_origins_too(tmp_path: Path, thinmeta: Thinmeta) -> None:
    older = tmp_path / "older"
    older.write_text(texts_on(real_disk())[16])
    disk = external_disk(tmp_path / "pv.img", external_group())
    for words in (
        (
            "--lvm",
            real_disk(),
            "--lvm",
            older,
            "--lv",
            "vgthin/pool0",
            "-p",
            unpacked(REAL.name),
        ),
        ("--lvm", disk),
    ):
        listed = thinmeta("ls", "-f", "json", "-q", *words)
        names = {each["name"]: each["device_id"] for each in devices_in(listed.stdout)}
        assert names
        for name, device_id in names.items():
            dumped = thinmeta("dump", "--dev-id", name, "-q", *words)
            assert dumped.exit_code == ExitCode.DONE
            assert dumped.stdout == thinmeta("dump", "--dev-id", device_id, "-q", *words).stdout
