"""Reads the command line of a thin_* tool, by the rules of its release.

1.1.0 takes `-fxml`, `-f=xml`, `--format=xml` and `--format xml`, an option once, and no word too
many. 0.9.0 takes what getopt_long takes: the last of an option counts, `-f=xml` is the value
`=xml`, and words after the first are ignored. Neither takes abbreviations here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from thinmeta.cli.thin_tools.tool import CommandLineError, Option, Release, Tool, ToolError


class WantsHelp(Exception):  # noqa: N818  # it is no error
    """-h was met."""


class WantsVersion(Exception):  # noqa: N818  # it is no error
    """-V was met."""


@dataclass(slots=True)
class CommandLine:
    """What was typed.

    Attributes:
        given: options in order, each with its value, None where it has none.
        words: what is no option.
    """

    given: list[tuple[Option, str | None]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Return whether the option of this name was given."""
        return any(name in option.names for option, _ in self.given)

    def value(self, name: str) -> str | None:
        """Return the value of the option of this name; None if it has none."""
        return next((value for option, value in self.given if name in option.names), None)


def parse(tool: Tool, release: Release, words: list[str]) -> CommandLine:
    """Return what was typed after the name of `tool`.

    Raises:
        CommandLineError: it is wrong.
        ToolError: the tool fails for it.
        WantsHelp: -h was met before anything wrong.
        WantsVersion: -V was.
    """
    line = CommandLine()
    rest = iter(words)
    for word in rest:
        if word == "--":
            line.words += rest
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            _take(line, tool, release, name, value if equals else None, rest)
        elif word.startswith("-") and word != "-":
            _take_short(line, tool, release, word[1:], rest)
        else:
            line.words.append(word)
    _refuse_what_does_not_fit(line, tool, release)
    return line


def _take_short(
    line: CommandLine, tool: Tool, release: Release, letters: str, rest: Iterator[str]
) -> None:
    """Take flags and perhaps an option with its value, all in one word."""
    while letters:
        name, letters = f"-{letters[0]}", letters[1:]
        option = _option(tool, name)
        if option.check is None:
            _add(line, release, option, None)
            continue
        is_new = release is Release.V1_1
        if option.attached and is_new and not letters.startswith("="):
            _add(line, release, option, None)
            continue
        value = letters.removeprefix("=") if is_new else letters
        is_there = bool(letters)
        _take(line, tool, release, name, value if is_there else None, rest)
        return


def _take(  # noqa: PLR0913, PLR0917
    line: CommandLine,
    tool: Tool,
    release: Release,
    name: str,
    value: str | None,
    rest: Iterator[str],
) -> None:
    option = _option(tool, name)
    if option.check is None:
        if value is not None:
            raise CommandLineError(f"{name} takes no value")
        _add(line, release, option, None)
        return
    if value is None and not option.attached:
        value = next(rest, None)
        looks_like_an_option = value is not None and len(value) > 1 and value.startswith("-")
        if value is None or (looks_like_an_option and release is Release.V1_1):
            raise CommandLineError(f"{name} needs a value")
    if value is not None:
        try:
            value = option.check(value)
        except ValueError as error:
            raise CommandLineError(f"{name}: {value!r} {error}") from error
    _add(line, release, option, value)


def _option(tool: Tool, name: str) -> Option:
    if name in ("-h", "--help"):
        raise WantsHelp
    if name in ("-V", "--version"):
        raise WantsVersion
    for option in tool.options:
        if name in option.names:
            return option
    raise CommandLineError(f"there is no option {name}")


def _add(line: CommandLine, release: Release, option: Option, value: str | None) -> None:
    if not option.many and line.has(option.names[0]):
        if release is Release.V1_1:
            raise CommandLineError(f"{option.names[-1]} is given twice")
        line.given = [each for each in line.given if each[0] is not option]
    line.given.append((option, value))


def _refuse_what_does_not_fit(line: CommandLine, tool: Tool, release: Release) -> None:
    for option, _ in line.given:
        for name in option.excludes:
            if line.has(name):
                raise CommandLineError(f"{option.names[-1]} does not go with {name}")
    nr_words = tool.takes is not None
    if release is Release.V1_1 and len(line.words) > nr_words + tool.ignores_words:
        extra = line.words[nr_words + tool.ignores_words]
        raise CommandLineError(f"there is a word too many: {extra!r}")
    if len(line.words) < nr_words:
        raise CommandLineError("INPUT is missing")
    for group in tool.required:
        if not any(map(line.has, group)):
            missing = ToolError if len(group) > 1 else CommandLineError
            known = {name for option in tool.options for name in option.names}
            raise missing(f"{' or '.join(each for each in group if each in known)} is missing")
