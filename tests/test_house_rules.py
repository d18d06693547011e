"""Rules of this project that no linter knows."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

from tests.cases import FIXTURES, case, case_names
from thinmeta.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "thinmeta"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((CHECKOUT / "tests").rglob("*.py"))

MAX_LINES = 300
JUNK_DRAWERS = {"common", "core", "helper", "helpers", "misc", "shared", "util", "utils"}

# What lies beside the images of a case, besides what its CASE.toml names: patterns.
COMPANIONS = {
    "CASE.toml": "what the case is, and what was recorded",
    "about.txt": "one line about it",
    "commands.sh": "what was run to make it",
    "truth/ids.txt": "device ids, sizes and names, as the kernel had them",
    "truth/thin-devices.sha256": "sha256, id, bytes of whole devices, as the kernel read them",
    "truth/files.tar.xz": "every file of every volume, as find and sha256sum told them",
    "truth-*/*": "the same, as it was before an event, or of another pool of the disks",
    "data.bin.xz": "the data device",
    "origin.bin.xz": "an external origin",
    "pv*.bin.xz": "disks with LVM physical volumes",
    "lvs.*": "what lvs printed",
    "vgcfgbackup*.txt": "LVM's text metadata",
    "dmsetup-table-*.txt": "what dmsetup table printed",
    "docker-*.*": "what docker printed",
    "docker-state/**/*": "what Docker keeps under its root",
    "podman-*.*": "what podman printed",
    "storage/**/*": "what Podman keeps under its root",
    "ctr-*.*": "what ctr printed",
    "containerd/**/*": "the databases under containerd's root",
    "containerd-config.toml": "what containerd was told",
}


def names_of(paths: Iterable[Path]) -> list[str]:
    return [str(path.relative_to(CHECKOUT)) for path in paths]


def parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def test_there_are_modules() -> None:
    assert len(MODULES) >= 40


def test_a_module_is_short() -> None:
    long = [module for module in MODULES if len(module.read_text().splitlines()) > MAX_LINES]

    assert names_of(long) == []


def test_a_name_says_the_job() -> None:
    vague = [
        module
        for module in [*MODULES, *TESTS]
        if {*module.relative_to(CHECKOUT).with_suffix("").parts} & JUNK_DRAWERS
    ]

    assert names_of(vague) == []


def test_a_module_says_what_it_is_for() -> None:
    silent = [module for module in MODULES if not ast.get_docstring(parsed(module))]

    assert names_of(silent) == []


def test_nothing_is_imported_by_star() -> None:
    greedy = [
        module
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]

    assert names_of(greedy) == []


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").read_text() == ""


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {module.parent for module in MODULES}

    assert names_of(path for path in folders if not (path / "__init__.py").exists()) == []


def test_tests_mirror_the_package() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}

    assert [folder for folder in folders if not (CHECKOUT / "tests" / folder).exists()] == []


def test_the_architecture_names_every_module() -> None:
    """All but those that are called as a command is, which are that command's."""
    text = (CHECKOUT / "docs/architecture.md").read_text()
    sections = {
        section.split("`")[1]: section for section in text.split("\n### ") if "`" in section
    }
    commands = {*main.list_commands(click.Context(main))}
    modules = [module.relative_to(PACKAGE) for module in MODULES if module.stem[:2] != "__"]

    unnamed = [
        str(module)
        for module in modules
        if len(module.parts) > 1
        and not (module.parts[0] in {"cli", "formats"} and module.stem in commands)
        and f"`{module.stem}`" not in sections[module.parts[0]]
    ]

    assert unnamed == []


def test_every_test_is_collected() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.offered"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )
    tests = {str(path) for path in TESTS if path.name.startswith("test_")}

    assert tests | {str(path) for path in MODULES} <= set(ran.stdout.splitlines())


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, thinmeta; print(*sys.modules)"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert {"numpy", "construct", "click"} & set(ran.stdout.split()) == set()


def test_all_that_is_public_can_be_had() -> None:
    import thinmeta

    assert len(set(thinmeta.__all__)) == len(thinmeta.__all__)
    for name in thinmeta.__all__:
        assert getattr(thinmeta, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        thinmeta.no_such_name  # noqa: B018


def named_files(name: str) -> set[str]:
    """Return the files that the CASE.toml of a case names."""
    images = case(name)["images"]
    outputs = [output["stdout"] for image in images for output in image["outputs"]]
    return {image["file"] for image in images} | {file for file in outputs if file}


def companions(name: str) -> set[str]:
    """Return the companions that are in the case's folder, and in those of its pools."""
    folder = FIXTURES / name
    places = {folder, *((folder / image["file"]).parent for image in case(name)["images"])}
    found = [path for place in places for each in COMPANIONS for path in place.glob(each)]
    return {str(path.relative_to(folder)) for path in found}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_no_file_of_a_case_is_unread() -> None:
    there = {name: files_below(FIXTURES / name) - companions(name) for name in case_names()}

    assert there == {name: named_files(name) for name in case_names()}


def test_a_case_says_what_it_is_and_where_it_is_from() -> None:
    silent = [
        name
        for name in case_names()
        if not case(name)["about"]
        or not case(name)["origin"]
        or not (FIXTURES / name / "about.txt").read_text().strip()
    ]

    assert silent == []


def test_nothing_but_cases_is_among_the_fixtures() -> None:
    """But what `tests.files.crash_fixtures` and `tests.names.containerd_fixtures` make; logs."""
    others = {path.name for path in FIXTURES.iterdir()} - {*case_names()}
    kept = {f"{kind}.{what}.xz" for kind in ("ext4", "xfs") for what in ("img", "json")}

    assert others <= {"README.md", "crashed", "containerd", "recovery"}
    left = {path.name for path in (FIXTURES / "recovery").iterdir()}
    logs = {path.stem for path in (FIXTURES / "recovery").glob("*.log")}
    assert left <= {f"{log}{end}" for log in logs for end in (".log", ".disk.xz")}
    assert {path.name for path in (FIXTURES / "crashed").iterdir()} == kept
    made = {"root.tar.xz", "small-pages.db.xz"}
    assert {path.name for path in (FIXTURES / "containerd").iterdir()} == made


# Where bytes that are no structure of a disk are taken apart by hand, and why.
BY_HAND = {
    "thinmeta/builder/xml_lines.py": "words of XML text, eight characters in a number",
    "thinmeta/builder/xml_words.py": "the same words",
    "thinmeta/formats/lines.py": "text as a matrix of bytes, four digits in a number",
    "thinmeta/volume/copy_target.py": "what an ioctl takes",
}


def by_hand(module: Path) -> set[str]:
    """Return what in a module decodes or encodes bytes beside the schemas."""
    found = set()
    schemas = set()
    for node in ast.walk(parsed(module)):
        match node:
            case ast.Import(names=names) if any(name.name == "struct" for name in names):
                found.add("struct")
            case ast.ImportFrom(module=str(where), names=names):
                if where == "struct":
                    found.add("struct")
                if where.startswith("thinmeta.schemas."):
                    schemas |= {name.asname or name.name for name in names}
            case ast.Attribute(attr="from_bytes" | "to_bytes" as name):
                found.add(name)
            case ast.Attribute(value=ast.Name(id=of), attr="parse" | "build" as name):
                if of in schemas:
                    found.add(f"{of}.{name}")
            case ast.Constant(value=str(text)) if re.match(r"[<>=|][iufVSb]\d*$", text):
                found.add(f"the dtype {text}")
            case ast.Call(func=ast.Attribute(attr="frombuffer"), args=args, keywords=named):
                kinds = [*args[1:2], *(each.value for each in named if each.arg == "dtype")]
                if [ast.unparse(kind) for kind in kinds] != ["np.uint8"]:
                    found.add("frombuffer")
    return found


def test_bytes_are_decoded_by_schemas_alone() -> None:
    elsewhere = [module for module in MODULES if module.parent != PACKAGE / "schemas"]
    offenders = {
        str(module.relative_to(CHECKOUT)): found
        for module in elsewhere
        if (found := by_hand(module))
    }

    assert {name: found for name, found in offenders.items() if name not in BY_HAND} == {}
    assert {*BY_HAND} - {*offenders} == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Within functions neither; what only a type checker imports does not count."""
    modules = {
        ".".join(module.relative_to(CHECKOUT).with_suffix("").parts): module for module in MODULES
    }
    reached = {name: imported_by(module) & {*modules} for name, module in modules.items()}
    for middle in modules:
        for name in modules:
            if middle in reached[name]:
                reached[name] |= reached[middle]

    assert [name for name in modules if name in reached[name]] == []


def imported_by(module: Path) -> set[str]:
    """Return all that a module imports from, and each name there, which may be a module."""
    tree = parsed(module)
    unseen = {
        each
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for each in ast.walk(statement)
    }
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node not in unseen
        for each in node.names
        for name in (str(node.module), f"{node.module}.{each.name}")
    }


def repeated(names: Iterable[tuple[str, Path]]) -> list[str]:
    """Return the names that stand more than once, each with the modules where it does."""
    places: dict[str, list[Path]] = {}
    for name, module in names:
        places.setdefault(name, []).append(module)
    return [f"{name}: {names_of(found)}" for name, found in places.items() if len(found) > 1]


def test_a_class_name_stands_once() -> None:
    """One word, one thing; an underscore in front makes no other name."""
    classes = (
        (node.name.lstrip("_"), module)
        for module in MODULES
        for node in parsed(module).body
        if isinstance(node, ast.ClassDef)
    )

    assert repeated(classes) == []


def test_a_module_name_stands_once() -> None:
    """But that a command, its format and its layout on disk are called like their question."""
    library = [
        module
        for module in MODULES
        if module.stem[:2] != "__"
        and not {PACKAGE / "cli/commands", PACKAGE / "formats", PACKAGE / "schemas"}
        & {*module.parents}
    ]

    assert repeated((module.stem, module) for module in library) == []
