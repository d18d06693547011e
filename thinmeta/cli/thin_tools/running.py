"""Runs a command of thinmeta as one of the thin_* tools, and ends as that does."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path

import click

from thinmeta.cli.ending import run, told
from thinmeta.cli.name_options import ENVIRONMENT
from thinmeta.cli.thin_tools.command_line import CommandLine, WantsHelp, WantsVersion, parse
from thinmeta.cli.thin_tools.tool import (
    CommandLineError,
    Option,
    Release,
    Tool,
    ToolError,
    existing,
)
from thinmeta.cli.thin_tools.tools import TOOLS, WITH_COMPAT
from thinmeta.errors import ExitCode

_SMALLEST_OUTPUT = 40960
"""Bytes of the least that thin_restore and thin_repair write to."""


def run_as(name: str, release: Release, words: list[str]) -> int:
    """Run a tool with the words after its name, and return its exit code.

    Args:
        name: of the tool.
        release: whose command line and output it has.
        words: what was typed.
    """
    with _without(ENVIRONMENT):  # the tools know no names
        code = run(lambda: _run(name, release, words))
    return release.failure_code if code == ExitCode.OTHER else code


def _run(name: str, release: Release, words: list[str]) -> int:
    tool = TOOLS[name].of(release)
    if tool.refusal is not None and not {"-h", "--help", "-V", "--version"} & {*words}:
        return told(f"Error: {name} {tool.refusal}", release.failure_code)
    try:
        line = parse(tool, release, words)
    except WantsVersion:
        click.echo(release.version)
        return ExitCode.DONE
    except WantsHelp:
        click.echo(_help(name, tool, release), nl=False)
        return ExitCode.DONE
    except CommandLineError as error:
        return told(f"Error: {name}: {error}\nTry '{name} --help'.", release.usage_code)
    except ToolError as error:
        return told(f"Error: {name}: {error}", release.failure_code)
    with redirect_stderr(io.StringIO()) if line.has("-q") else nullcontext():
        code, last_word = _ran(tool, release, line)
    return code if last_word is None else told(last_word, code)


@contextmanager
def _without(variable: str) -> Iterator[None]:
    """Take a variable out of the environment for a while."""
    value = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[variable] = value


def _ran(tool: Tool, release: Release, line: CommandLine) -> tuple[int, str | None]:
    """Run the command; return the exit code, and what is said however quiet it was to be."""
    try:
        words = _words(tool, release, line)
        if release is Release.V0_9:
            _refuse_another_snapshot(line)
        if tool.needs_output:
            _refuse_output(Path(line.value("-o") or ""))
    except ToolError as error:
        return told(f"Error: {error}", release.failure_code), None
    last_word: str | None = None
    code: int
    if tool.words[0] == "check":
        from thinmeta.cli.thin_tools.checking import checked_as

        code, last_word = checked_as(line, release)
    else:
        from thinmeta.cli import main

        code = run(lambda: main(words, standalone_mode=False, prog_name="thinmeta"))
    return (release.failure_code if code else code), last_word


def _words(tool: Tool, release: Release, line: CommandLine) -> list[str]:
    """Return the command behind the tool, and all that it is given."""
    in_order = {name: place for place, each in enumerate(tool.options) for name in each.names}
    given = sorted(line.given, key=lambda each: in_order[each[0].names[0]])
    dropped = {option.drops for option, _ in given}
    words = [
        each.becomes.format(each.default if value is None else value)
        for each, value in given
        if each.becomes and each.names[0] not in dropped
    ]
    # What is no option, as the two devices of a comparison, is in the order of the table.
    words = [*tool.words, *(each for each in words if each.startswith("-")), *_others(words)]
    if tool.words and tool.words[0] in WITH_COMPAT:
        words.insert(1, f"--compat={release.value}")
    if tool.takes is not None:
        words.append(tool.takes.format(existing(line.words[0])))
    return words


def _others(words: list[str]) -> list[str]:
    return [each for each in words if not each.startswith("-")]


def _refuse_another_snapshot(line: CommandLine) -> None:
    """Fail where 0.9.0 was told at which block the metadata snapshot is, and it is not there."""
    from thinmeta.errors import ThinmetaError
    from thinmeta.model.pool import open_pool
    from thinmeta.model.state import State

    block = line.value("--metadata-snap")
    if block is None:
        return
    try:
        with open_pool(Path(line.words[0]), state=State.SNAP) as pool:
            held_root = pool.live_superblock.held_root
    except ThinmetaError as error:
        raise ToolError(str(error)) from error
    if held_root != int(block):
        raise ToolError(f"the pool's metadata snapshot is at block {held_root}, not {block}")


def _refuse_output(output: Path) -> None:
    """Fail where thin_repair and thin_restore do: they make no files."""
    if not output.exists():
        raise ToolError(f"{output}: no such file or directory: what is written to must be there")
    if output.is_file() and output.stat().st_size < _SMALLEST_OUTPUT:
        raise ToolError(f"{output}: is smaller than {_SMALLEST_OUTPUT} bytes")


def _help(name: str, tool: Tool, release: Release) -> str:
    """Return the help of a tool."""
    formatter = click.HelpFormatter()
    formatter.write_usage(name, "[OPTIONS]" + (" INPUT" if tool.takes else ""))
    formatter.write_paragraph()
    formatter.write_text(
        f"{tool.refusal[0].upper()}{tool.refusal[1:]}."
        if tool.refusal
        else f"The command line of {name} {release.version}; `thinmeta {tool.words[0]}` answers."
    )
    with formatter.section("Options"):
        formatter.write_dl(
            [
                *((_spellings(option), option.help) for option in tool.options),
                ("-V, --version", "Print the number of the release whose place this takes."),
                ("-h, --help", "Print this."),
            ]
        )
    return formatter.getvalue()


def _spellings(option: Option) -> str:
    names = ", ".join(option.names)
    if option.check is None:
        return names
    return f"{names}[=VALUE]" if option.attached else f"{names} VALUE"
