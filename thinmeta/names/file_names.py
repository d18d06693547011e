"""What a file is called that is named after a volume, whatever the volume is called."""

from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote

_LONGEST = 200
"""Bytes of a name; most file systems take 255, and something may be appended."""

_SAFE = "+"  # beside letters, digits and _.-
_APPENDED = ".map"
"""What is beside a volume that is rescued: no volume's file ends like that."""


def file_names(names: Mapping[int, str]) -> dict[int, str]:
    """Return a file name for each volume, no two alike, upper or lower case.

    What is not of `[A-Za-z0-9._+-]` is percent-encoded, and so are dots that would lead
    elsewhere; it is cut at 200 bytes. Those that are alike then get `~ID`.

    >>> file_names({1: "vg/root", 2: "..", 3: "web", 4: "WEB"})
    {1: 'vg%2Froot', 2: '%2E%2E', 3: 'web~3', 4: 'WEB~4'}

    Args:
        names: what each is called, by device id.
    """
    encoded = {device_id: _encoded(name) for device_id, name in names.items()}
    alike = Counter(name.lower() for name in encoded.values())
    return {
        device_id: f"{name}~{device_id}" if alike[name.lower()] > 1 else name
        for device_id, name in encoded.items()
    }


def _encoded(name: str) -> str:
    """Return a name as that of a file, cut where no byte's three characters are cut."""
    text = quote(name, safe=_SAFE, errors="surrogatepass").replace("~", "%7E")
    if not text.strip("."):
        text = text.replace(".", "%2E") or "%"
    if len(text) > _LONGEST:
        text = text[:_LONGEST]
        at = text.rfind("%")
        text = text[:at] if at > _LONGEST - len("%XX") else text
    if text.lower().endswith(_APPENDED):
        text = f"{text[: -len(_APPENDED)]}%2E{text[1 - len(_APPENDED) :]}"
    return text
