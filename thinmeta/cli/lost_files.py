"""What is not in the output of a command that reads files."""

from collections.abc import Iterable

from thinmeta.cli.damage import DamageReport
from thinmeta.errors import SalvagedError


class LostFiles:
    """What is not in the output of a command, since it cannot be read."""

    def __init__(self, report: DamageReport) -> None:
        """Nothing is lost yet."""
        self._report = report
        self.first: str | None = None

    def lose(self, what: str, objects: Iterable[bytes] | None = None) -> None:
        """Take note of something: the first is the last word, the others are said at once.

        Args:
            what: it is, in words.
            objects: are said instead, at once, of the first, too, where the report is JSON;
                None: it is of no one file.
        """
        is_first = self.first is None
        self.first = self.first or what
        if self._report.is_json and objects is not None:
            self._report.say_objects(objects)
        elif self._report.is_json or not is_first:
            self._report.warn_again(what)

    def finish(self) -> None:
        """Fail if something is lost.

        Raises:
            SalvagedError: so it is.
            DamagedMetadataError: the metadata is not complete.
        """
        if self.first is not None:
            raise SalvagedError(self.first)
        self._report.finish()
