"""A JSON object whose fields have the type that is asked for, or are missing."""

import json
from typing import Any

JSON = json.JSONDecoder()


class JsonObject:
    """An object whose fields have the type that is asked for, or are missing."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Any) -> None:
        """Take what was parsed; what is no object has no fields."""
        self._fields: dict[str, Any] = fields if isinstance(fields, dict) else {}

    def integer(self, name: str, end: int = 1 << 64) -> int | None:
        """Return a number from 0 to before `end`."""
        value = self._fields.get(name)
        return value if type(value) is int and 0 <= value < end else None

    def text(self, name: str) -> str | None:
        """Return a string that is not empty."""
        value = self._fields.get(name)
        return value if isinstance(value, str) and value else None

    def word(self, name: str) -> str | None:
        """Return a string that can stand in a line."""
        value = self.text(name)
        return value if value and value.isprintable() else None

    def is_set(self, name: str) -> bool:
        """Tell whether a flag is there and true."""
        return self._fields.get(name) is True

    def object(self, name: str) -> "JsonObject":
        """Return the object in a field; one without fields if there is none."""
        return JsonObject(self._fields.get(name))

    def json(self, name: str) -> "JsonObject":
        """Return the object that a string holds as JSON; one without fields if it holds none."""
        return json_object(self.text(name) or "")

    def objects(self, name: str) -> list["JsonObject"]:
        """Return the objects of a list."""
        return [JsonObject(each) for each in self._list(name) if isinstance(each, dict)]

    def texts(self, name: str) -> list[str]:
        """Return the strings of a list."""
        return [each for each in self._list(name) if isinstance(each, str)]

    def names(self) -> list[str]:
        """Return the names of the fields, in order."""
        return list(self._fields)

    def _list(self, name: str) -> list[Any]:
        value = self._fields.get(name)
        return value if isinstance(value, list) else []


def json_object(data: str | bytes) -> JsonObject:
    """Return the object that a text holds as JSON; one without fields if it holds none."""
    try:
        text = data.decode() if isinstance(data, bytes) else data
        return JsonObject(JSON.decode(text))
    except (ValueError, RecursionError):
        return JsonObject(None)
