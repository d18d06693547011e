"""How commands write the files of a volume as a tar."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.output import open_output
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.archive.tree_archive import Headers
    from thinmeta.files.file_system import FileError, Inode


def write_tar(  # noqa: PLR0913  # what, where to, and a hook
    volume: VolumeFiles,
    headers: "Headers",
    files: "Iterable[tuple[bytes, Inode]]",
    output: Path | None,
    *,
    salvage: bool,
    on_error: "Callable[[bytes, FileError], None] | None" = None,
) -> None:
    """Write files of a volume as a tar, and tell of what is not in it.

    Args:
        volume: whose files they are.
        headers: the kind of tar.
        files: their names in the tar, and inodes.
        output: where it is written.
        salvage: write zeros for what cannot be had.
        on_error: told of what is wrong with a file, by its name in the tar; None: that is the
            file's path, too.

    Raises:
        OutputError: it cannot be written.
        FileError: a file turned out to be unreadable in the middle.
        SalvagedError: something was left out.
    """
    from thinmeta.archive.tree_archive import TreeArchive

    archive = TreeArchive(volume.opened, headers, on_error or volume.on_error, salvage=salvage)
    with open_output(output, volume.inputs) as file:
        for piece in archive.pieces(files):
            file.write(piece)
    warn_of_sockets(volume.report, archive.nr_sockets)
    volume.finish(files=archive.nr_files, sockets=archive.nr_sockets)


def warn_of_sockets(report: DamageReport, nr: int) -> None:
    """Say how many sockets were left out, if any were; with JSON the summary does."""
    if nr and not report.is_json:
        what = "1 socket was left out: no tar has it"
        report.warn(what if nr == 1 else f"{nr} sockets were left out: no tar has them")


def refuse_terminal(output: Path | None) -> None:
    """Refuse to write a tar to a terminal.

    Raises:
        UsageError: standard output is one.
    """
    import sys

    import click

    if output in (None, Path("-")) and sys.stdout.isatty():
        raise click.UsageError("a tar is not for a terminal: say -o FILE, or pipe it on")
