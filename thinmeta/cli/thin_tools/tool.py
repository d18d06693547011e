"""What a thin_* tool takes on its command line, and what that is to the command behind it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Self


class CommandLineError(Exception):
    """The command line is wrong; the message says how."""


class ToolError(Exception):
    """The tool cannot do what it is asked for; the message says why."""


class Release(Enum):
    """The release of thin-provisioning-tools whose command line it is, by what `--compat` says."""

    V1_1 = "1.1"
    V0_9 = "0.9"

    @property
    def version(self) -> str:
        """Return what `-V` prints, which LVM and backup programs compare."""
        return f"{self.value}.0"

    @property
    def usage_code(self) -> int:
        """Return the exit code for a command line that is wrong."""
        return 2 if self is Release.V1_1 else 1

    @property
    def failure_code(self) -> int:
        """Return the exit code for all else."""
        return 64 if self is Release.V1_1 else 1


Check = Callable[[str], str]
"""Takes what was typed and returns it as the command behind the tool takes it.

Raises:
    ValueError: it is refused; says why.
"""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a tool.

    Attributes:
        names: its spellings, the one that is quoted first.
        becomes: a word of the command behind it, in which `{}` is the value; "" does nothing.
        check: takes its value; None for a flag.
        attached: the value may be missing, and is given only as part of the same word.
        default: the value where it is missing.
        many: may be given more than once.
        only: the release that has it; None is both.
        drops: an option that is then ignored, by its first spelling.
        excludes: options that it does not go with, by their first spelling.
        help: one line.
    """

    names: tuple[str, ...]
    becomes: str
    check: Check | None = None
    attached: bool = False
    default: str | None = None
    many: bool = False
    only: Release | None = None
    drops: str | None = None
    excludes: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """One of the thin_* tools.

    Attributes:
        words: the command behind it, with its fixed words; none: see `refusal`.
        options: besides -h and -V.
        takes: the word that its INPUT becomes; None if it takes none.
        required: options that must be given; of a group one, which the tool itself asks for, so
            that it is no error of the command line.
        needs_output: whether its output must exist, and hold metadata at all.
        ignores_words: how many more words it takes, and does nothing with.
        refusal: why it does nothing but refuse.
    """

    words: tuple[str, ...]
    options: tuple[Option, ...] = ()
    takes: str | None = "{}"
    required: tuple[tuple[str, ...], ...] = ()
    needs_output: bool = False
    ignores_words: int = 0
    refusal: str | None = None

    def of(self, release: Release) -> Self:
        """Return the tool as this release has it."""
        options = tuple(each for each in self.options if each.only in (None, release))
        return replace(self, options=options)


def path(text: str) -> str:
    """Take the name of a file; a name such as `-` is a file here, and no option of ours.

    Raises:
        ToolError: it is empty.
    """
    if not text:
        raise ToolError("the name of a file is empty")
    return str(Path(text).absolute()) if text.startswith("-") else text


def existing(text: str) -> str:
    """Take the name of a file or device that is there, whatever else its name could mean.

    Raises:
        ToolError: it is not there.
    """
    if text and not Path(text).exists():
        raise ToolError(f"{text}: no such file or directory")
    return path(text)


def pack_file(text: str) -> str:
    """Take the name of a pack file.

    Raises:
        ToolError: it is none, or cannot be read.
    """
    from thinmeta.schemas.compressed_formats import PACK_MAGIC

    try:
        with Path(existing(text)).open("rb") as file:
            beginning = file.read(len(PACK_MAGIC))
    except OSError as error:
        raise ToolError(f"{text}: {error.strerror}") from error
    if beginning != PACK_MAGIC:
        raise ToolError(f"{text}: is no pack file")
    return path(text)


def size(text: str) -> str:
    """Take a size as thin_metadata_size does."""
    from thinmeta.formats.thin_metadata_size import TypedSize

    TypedSize.parse(text)
    return text


def unit(text: str) -> str:
    """Take a unit as thin_metadata_size does."""
    from thinmeta.formats.thin_metadata_size import unit_of

    unit_of(text)
    return text


def number(bits: int) -> Check:
    """Take a number of so many bits."""

    def check(text: str) -> str:
        if not re.fullmatch(r"\+?[0-9]+", text):
            raise ValueError("is no number")
        if int(text) >= 2**bits:
            raise ValueError(f"is more than {bits} bits hold")
        return str(int(text))

    return check


def one_of(*choices: str) -> Check:
    """Take one of these."""

    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return text

    return check


def region(text: str) -> str:
    """Take a `B..E` of blocks."""
    match = re.fullmatch(r"([0-9]+)\.\.([0-9]+)", text)
    if match is None:
        raise ValueError("is no region B..E")
    begin, end = (int(number(64)(each)) for each in match.groups())
    if end <= begin:
        raise ValueError("its end must be greater than its begin")
    return text


def fields(*without: str) -> Check:
    """Take columns of `ls` with commas between them, but none whose names begin as these do."""

    def check(text: str) -> str:
        from thinmeta.formats.ls_fields import FIELDS

        for name in text.split(","):
            if name not in FIELDS or name.startswith(without):
                raise ValueError(f"is no list of columns: there is none called {name!r}")
        return text

    return check
