"""A section of LVM's text, whose fields are checked as they are taken."""

import re
from typing import Self, TypeVar

from thinmeta.errors import InputError
from thinmeta.lvm.text import Section

_FieldT = TypeVar("_FieldT")

_NAME = re.compile(r"[A-Za-z0-9+_.-]{1,128}")
_UUID = re.compile(r"[A-Za-z0-9]{32}")


class Fields:
    """A section, and where it stands.

    Attributes:
        name: its own, without that of the sections around it.
        values: what it says, unchecked.
    """

    def __init__(self, values: Section, source: str, path: tuple[str, ...] = ()) -> None:
        """Take a section that stands at `path` in `source`."""
        self.name = path[-1] if path else ""
        self.values = values
        self._source = source
        self._path = path

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __str__(self) -> str:
        """Return its fields in one line."""
        return ", ".join(f"{key} {value}" for key, value in self.values.items())

    def error(self, what: str) -> InputError:
        """Return an error that says where the section is, to be raised."""
        return InputError(": ".join((self._source, *self._path, what)))

    def sections(self) -> list[Self]:
        """Return the sections in it, in their order.

        Raises:
            InputError: one has a name that no volume can have.
        """
        inside = [(key, value) for key, value in self.values.items() if isinstance(value, dict)]
        for key, _ in inside:
            if not _NAME.fullmatch(key):
                raise self.error(f"{key[:40]!r} cannot be the name of anything")
        return [type(self)(value, self._source, (*self._path, key)) for key, value in inside]

    def section(self, key: str) -> Self:
        """Return the section `key`; an empty one if there is none."""
        return type(self)(self._of_type(key, dict, {}), self._source, (*self._path, key))

    def integer(self, key: str, highest: int, lowest: int = 0) -> int:
        """Return a number that must be there and in bounds."""
        value = self._of_type(key, int)
        if not lowest <= value <= highest:
            raise self.error(f"{key} is {value}, which cannot be")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string of one line, which must be there if there is no `default`."""
        value = self._of_type(key, str, default)
        if not value.isprintable():
            raise self.error(f"{key} is {value[:40]!r}, which cannot be")
        return value

    def remark(self, key: str) -> str:
        """Return a string for people, which may hold anything; empty if there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the strings of a list, none if it is not there."""
        return tuple(
            value
            for value in self._of_type(key, list, [])
            if isinstance(value, str) and value.isprintable()
        )

    def uuid(self, key: str) -> str:
        """Return a uuid without its dashes."""
        value = self.text(key).replace("-", "")
        if not _UUID.fullmatch(value):
            raise self.error(f"{key} is no uuid")
        return value

    def pairs(self, key: str) -> tuple[tuple[str, int], ...]:
        """Return a list of names and numbers by twos."""
        values = self._of_type(key, list)
        found = tuple(zip(values[::2], values[1::2], strict=False))
        for name, number in found:
            if not isinstance(name, str) or not isinstance(number, int) or number < 0:
                raise self.error(f"{key} is not a list of names and numbers")
        return found

    def _of_type(self, key: str, kind: type[_FieldT], default: _FieldT | None = None) -> _FieldT:
        value = self.values.get(key, default)
        if value is None:
            raise self.error(f"{key} is missing")
        if not isinstance(value, kind):
            raise self.error(f"{key} is {str(value)[:40]!r}, which cannot be")
        return value
