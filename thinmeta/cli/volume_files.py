"""The files of a volume that a command reads, and what it says of those that it cannot."""

from collections import Counter
from typing import TYPE_CHECKING

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.lost_files import LostFiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thinmeta.device.inputs import Inputs
    from thinmeta.files.file_system import FileError, Inode
    from thinmeta.files.opened_files import OpenedFiles
    from thinmeta.volume.contents import Volume


class VolumeFiles:
    """The files of one volume, and what was found to be wrong with them.

    Attributes:
        opened: its file system.
        volume: what it is on.
        report: the policy of the command.
        inputs: what is read, which is never written to.
    """

    def __init__(
        self, opened: "OpenedFiles", volume: "Volume", report: DamageReport, inputs: "Inputs"
    ) -> None:
        """Nothing is wrong yet."""
        self.opened = opened
        self.volume = volume
        self.report = report
        self.inputs = inputs
        self._lost = LostFiles(report)
        self._absent = LostFiles(report)
        self._unwritten = LostFiles(report)
        self._counts: Counter[str] = Counter()
        self._padded: bytes | None = None

    def top(self) -> "Inode":
        """Return the root directory of the volume."""
        return self.opened.file_system.inode(self.opened.file_system.root)

    def docker_root(self) -> "Inode | None":
        """Return the directory `rootfs` of a Docker device, None if it is none.

        Raises:
            FileError: nobody can tell.
        """
        from thinmeta.files.container_root import container_root

        return container_root(self.opened.file_system, self.top())

    def root(self, *, all_of_it: bool) -> "Inode":
        """Return the directory in which paths begin: of a Docker device `rootfs`.

        Args:
            all_of_it: paths begin at the root of the volume, of a Docker device, too.
        """
        from thinmeta.files.file_system import FileError, IncompleteFileError

        if all_of_it:
            return self.top()
        try:
            return self.docker_root() or self.top()
        except FileError as error:
            what = f"{error}; paths begin at its root, as with --all"
            self._lose(b"", IncompleteFileError(what), what)
            return self.top()

    def on_error(self, path: bytes, error: "FileError") -> None:
        """Take note of what is wrong with one file; the hook of whoever reads many."""
        from thinmeta.files.file_tree import shown

        self._lose(path, error, f"{shown(path)}: {error}")

    def lose(self, path: bytes, error: "FileError") -> None:
        """Take note of what is wrong with one file, where the error says which it is."""
        self._lose(path, error, str(error))

    def lose_other(self, what: str, objects: "Iterable[bytes] | None" = None) -> None:
        """Take note of something that is not in the output; see `LostFiles.lose`."""
        self._lost.lose(what, objects)

    def miss(self, path: bytes, what: str) -> None:
        """Take note of something that is not in the output, since it is not there."""
        self._take_note(self._absent, path, "not_there", what)

    def fail_to_write(self, path: bytes, what: str) -> None:
        """Take note of something that is not in the output, since it cannot be written."""
        self._take_note(self._unwritten, path, "not_written", what)

    def refuse_absent(self) -> None:
        """Fail if something was not there.

        Raises:
            NotThereError: so it is.
        """
        from thinmeta.errors import NotThereError

        if self._absent.first is not None:
            self._say_before(self._lost, self._unwritten)
            raise NotThereError(self._absent.first)

    def finish(self, **counts: int) -> None:
        """Fail if something is not in the output; with JSON say how much is, and how much not.

        Args:
            counts: of what is in the output, and of what does not belong there.

        Raises:
            NotThereError: something was not there.
            OutputError: something could not be written.
            SalvagedError: something cannot be read.
            DamagedMetadataError: the metadata is not complete.
        """
        from thinmeta.errors import OutputError

        if counts and self.report.is_json:
            from thinmeta.formats.file_report import summary_object

            outcomes = ("left_out", "zeros", "incomplete", "not_there", "not_written")
            counts |= {each: self._counts[each] for each in outcomes}
            self.report.say_objects([summary_object(counts)])
        self.refuse_absent()
        if self._unwritten.first is not None:
            self._say_before(self._lost)
            raise OutputError(self._unwritten.first)
        self._lost.finish()

    def _lose(self, path: bytes, error: "FileError", what: str) -> None:
        from thinmeta.files.file_system import Outcome

        is_counted = error.outcome is not Outcome.ZEROS or path != self._padded
        if is_counted:
            self._counts[error.outcome] += 1
        self._padded = path if error.outcome is Outcome.ZEROS else None
        self._lost.lose(what, self._objects(path, error, is_counted=is_counted))

    def _objects(self, path: bytes, error: "FileError", *, is_counted: bool) -> "Iterable[bytes]":
        from thinmeta.formats.file_report import file_problem, lost_parts

        if is_counted:
            yield file_problem(path, error)
        yield from lost_parts(path, error)

    def _take_note(self, noted: LostFiles, path: bytes, outcome: str, what: str) -> None:
        from thinmeta.formats.file_report import problem_object

        self._counts[outcome] += 1
        noted.lose(what, [problem_object(path, outcome, what)])

    def _say_before(self, *others: LostFiles) -> None:
        """Say what is not to be the last word; with JSON it is said."""
        for each in others:
            if each.first is not None and not self.report.is_json:
                self.report.warn(each.first)
