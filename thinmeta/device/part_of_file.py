"""A file as it was typed: `FILE`, or `FILE@OFFSET` for what begins further on in it."""

from pathlib import Path
from typing import NamedTuple, Self

from thinmeta.errors import InputError
from thinmeta.units import Quantity


class PartOfFile(NamedTuple):
    """A file or block device from a byte on.

    Attributes:
        path: without the offset.
        offset: in bytes; None if none was typed.
    """

    path: Path
    offset: int | None

    @classmethod
    def of(cls, name: str | Path) -> Self:
        """Read what was typed; a file of that very name is that file.

        >>> PartOfFile.of("pyproject.toml@1K")
        PartOfFile(path=PosixPath('pyproject.toml'), offset=1024)

        Raises:
            InputError: what follows `@` is no number.
        """
        path = name if isinstance(name, Path) else Path(name)
        file, at, offset = str(name).rpartition("@")
        if not at or path.exists() or not (file and Path(file).exists()):
            return cls(path, None)
        try:
            return cls(Path(file), Quantity.parse(offset).in_bytes(1))
        except ValueError as error:
            raise InputError(
                f"{name}: no such file; and {offset!r} is no offset: give bytes, or a "
                "unit, as in 1M"
            ) from error
