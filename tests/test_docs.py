"""What the documents say is true: examples, shown output, links, generated pages."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from tests.conftest import Thinmeta
from thinmeta.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
LINKING = sorted([*DOCUMENTS, *CHECKOUT.glob("fixtures/*.md"), *CHECKOUT.glob("tools/**/*.md")])

PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_DISK = re.compile(r"\b(data|pv)\.bin\.xz")
_QUOTED = re.compile(r"'[^']*'")
_PROGRAM = re.compile(r"(?:^|\| |; )(\w+)")


@dataclass(frozen=True)
class Shown:
    """A block of a document that shows commands and what they print."""

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def shown_blocks() -> list[Shown]:
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for block in _FENCED.finditer(text):
            if block[1] == "console":
                line = text.count("\n", 0, block.start()) + 1
                found.append(Shown(document.name, line, block[2]))
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def anchors_of(markdown: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    headings = _HEADING.findall(_FENCED.sub("", markdown))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


OF_THE_SHELL = {"do", "done", "export", "for"}


RECOVERIES = ("recovery.md", "lvm-recovery.md")
_RECORDED = re.compile(r"grep .*(?:truth|recovery)/|tar .*truth")


def test_a_recovery_takes_few_commands() -> None:
    """From the first command to a hash that was recorded: no more than four of ours."""
    shown = [block for block in shown_blocks() if block.document in RECOVERIES]
    paths = [block for block in shown if _RECORDED.search(block.text)]

    assert len(paths) >= 5
    for block in paths:
        assert 1 <= len(re.findall(r"^\$ thinmeta ", block.text, re.MULTILINE)) <= 4, block


def test_output_is_shown() -> None:
    assert {"README.md", "dump.md"} <= {block.document for block in shown_blocks()}


def runnable(shown: Shown) -> object:
    """Return the parameter of a test; what unpacks a whole disk takes long."""
    marks = [pytest.mark.thorough] if _DISK.search(shown.text) else []
    return pytest.param(shown, id=str(shown), marks=marks)


@pytest.mark.parametrize("shown", [runnable(shown) for shown in shown_blocks()])
def test_shown_output_is_what_is_printed(shown: Shown, tmp_path: Path) -> None:
    """Run a block's commands in one shell; a line `...` stands for any number of lines."""
    first, *parts = re.split(r"^\$ (.*)\n", shown.text, flags=re.MULTILINE)
    assert first == ""
    commands, outputs = parts[::2], parts[1::2]
    programs = {
        name for command in commands for name in _PROGRAM.findall(_QUOTED.sub("''", command))
    }
    for program in sorted(programs - OF_THE_SHELL):
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"{program} is not installed")
    (tmp_path / "fixtures").symlink_to(CHECKOUT / "fixtures")
    script = "exec 2>&1\n" + "\nprintf '\\0'\n".join(commands)

    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": PATH, "LC_ALL": "C.UTF-8", "COLUMNS": "80", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    printed = ran.stdout.split("\0")
    assert len(printed) == len(outputs)
    for command, expected, got in zip(commands, outputs, printed, strict=True):
        pattern = "".join(
            r"(?:.*\n)*" if line == "..." else re.escape(f"{line}\n")
            for line in expected.splitlines()
        )
        ended = got if not got or got.endswith("\n") else f"{got}\n"
        assert re.fullmatch(pattern, ended), f"$ {command}\n{got}"


@pytest.mark.parametrize("name", ["README.md", "docs/library.md"])
def test_examples_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    # A fence right after an example would be taken for its output.
    text = re.sub(r"^```.*$", "", (CHECKOUT / name).read_text(), flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    said: list[str] = []

    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=said.append)

    assert results.attempted
    assert not results.failed, "".join(said)


def test_generated_pages_are_fresh() -> None:
    made = subprocess.run(
        [sys.executable, CHECKOUT / "tools/generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode == 0, made.stdout + made.stderr


def test_every_command_is_documented() -> None:
    page = (CHECKOUT / "docs/cli.md").read_text()

    for name in main.list_commands(click.Context(main)):
        assert f"\n## thinmeta {name}\n" in page


def test_every_layer_is_described() -> None:
    page = (CHECKOUT / "docs/architecture.md").read_text()

    for package in CHECKOUT.glob("thinmeta/*/__init__.py"):
        assert f"\n### `{package.parent.name}`\n" in page


@pytest.mark.parametrize("document", LINKING, ids=name_of)
def test_links_resolve(document: Path) -> None:
    text = document.read_text()
    for link in _LINK.findall(_FENCED.sub("", text)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target.read_text()), link


@pytest.mark.parametrize("kind", ["superblock", "device", "run", "end"])
def test_json_fields_are_documented(kind: str, thinmeta: Thinmeta) -> None:
    image = CHECKOUT / "fixtures/a09-discards-and-deletes/meta.bin.xz"
    lines = map(json.loads, thinmeta("dump", "-f", "json", image).stdout.splitlines())
    shown = next(line for line in lines if line["type"] == kind)
    page = (CHECKOUT / "docs/dump.md").read_text()

    section = page.partition(f"\n#### The {kind} object\n")[2].partition("\n#")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(shown)
