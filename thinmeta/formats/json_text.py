"""Objects of JSON, one a line; `json` is loaded when the first is written."""

from typing import Any


def json_line(**fields: Any) -> bytes:
    """Return one object as a line; `type`, which every object has, comes first."""
    return json_text(fields).encode() + b"\n"


def json_text(value: Any) -> str:
    """Return a value as JSON."""
    from json import dumps

    return dumps(value)
