"""Every public member says what it is, with an example that is run."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import thinmeta

REFERENCE = Path(__file__).resolve().parents[2] / "tools/api/pages/index.md"

# Public names and members without an example, and why. The examples are doctests.
NO_EXAMPLE = {
    "DeviceFiles.close": "a file's",
    "DataPart": "the example of `DeviceFiles`",
    "DeviceFiles.link_target": "no fixture this small has a link",
    "FileError": "needs a damaged file",
    "FilePlace": "the example of `DeviceFiles`",
    "FileStream": "the example of `DeviceFiles`",
    "FoundFile": "the example of `DeviceFiles`",
    "HeldPart": "the example of `DeviceFiles`",
    "LiveDeviceError": "needs an active pool",
    "OpenPool.files_at": "the example of `DeviceFiles`",
    "RegionRun": "the example of `DeviceFiles`",
    "SalvagedError": "what commands end with; the library returns losses",
    "Source": "the example of `DeviceFiles`",
    "UnsupportedFormatError": "no kernel has written such a superblock yet",
    "Volume.close": "a file's",
    **{
        f"DeviceFiles.{method}": "the class's example: to unpack its data takes seconds"
        for method in ("entries", "find", "lost", "open", "places", "walk", "xattrs")
    },
    **{
        f"{name}.{method}": "a file's, but for `read_at`; the class's example reads"
        for name in ("FileStream", "Volume")
        for method in ("read_at", "readable", "readinto", "seek", "seekable", "tell")
    },
}

# What commands ask of the sources of names; a program hands them to `open_pool`.
FOR_COMMANDS = {
    "NameSources": {
        "catalogues",
        "containers",
        "data_block_sectors",
        "docker",
        "inputs",
        "introduced",
        "may_have_origin",
        "names_of",
        "metadata_path",
        "on_host",
        "open_data",
        "open_metadata",
        "refuse_other_pool",
        "resolved",
        "state_with_origins",
    },
}


def members(name: str) -> Iterator[tuple[str, object]]:
    """Return what a public class has that is ours, plain fields left out."""
    found = getattr(thinmeta, name)
    if not inspect.isclass(found):
        return
    for member in dir(found):
        home = next((each for each in found.__mro__ if member in vars(each)), object)
        value = inspect.getattr_static(found, member)
        is_plain = not isinstance(value, classmethod | property) and not callable(value)
        is_hidden = member.startswith("_") or member in FOR_COMMANDS.get(name, set())
        if home.__module__.startswith("thinmeta") and not is_plain and not is_hidden:
            yield f"{name}.{member}", getattr(found, member)


ALL = {
    **{name: getattr(thinmeta, name) for name in thinmeta.__all__},
    **{full: value for name in thinmeta.__all__ for full, value in members(name)},
}


def test_all_that_is_public_has_a_docstring() -> None:
    assert [name for name, value in ALL.items() if not inspect.getdoc(value)] == []


def test_all_that_is_public_has_an_example() -> None:
    """But for properties, which the class's example shows, or says in a line."""
    without = {
        name
        for name, value in ALL.items()
        if not isinstance(value, property) and ">>>" not in (inspect.getdoc(value) or "")
    }

    assert without == {*NO_EXAMPLE}


def test_what_is_left_out_is_there() -> None:
    for name, kept in FOR_COMMANDS.items():
        assert [each for each in kept if not hasattr(getattr(thinmeta, name), each)] == []


def test_numbers_say_their_shape_and_units() -> None:
    tables = [name for name in thinmeta.__all__ if name.endswith("Table")]

    assert len(tables) == 6
    for name in tables:
        text = inspect.getdoc(getattr(thinmeta, name)) or ""
        assert all(word in text for word in ("(n,)", "int64", "block", "Attributes:")), name


def test_all_that_is_public_is_in_the_reference() -> None:
    lines = REFERENCE.read_text().splitlines()

    named = [line.removeprefix("::: thinmeta.") for line in lines if line.startswith(":::")]
    assert sorted(named) == sorted(thinmeta.__all__)
