"""The formats of `dump` by their names."""

from collections.abc import Callable

from thinmeta.formats.human_readable import HumanReadable, HumanReadable09
from thinmeta.formats.json_lines import JsonLines
from thinmeta.formats.style import Style
from thinmeta.formats.xml import Xml, Xml09

_STYLES: dict[tuple[str, str], tuple[Callable[[], Style], bool]] = {
    ("xml", "1.1"): (Xml, True),
    ("xml", "0.9"): (Xml09, False),
    ("human_readable", "1.1"): (HumanReadable, True),
    ("human_readable", "0.9"): (HumanReadable09, False),
    ("json", "1.1"): (JsonLines, False),
    ("json", "0.9"): (JsonLines, False),
}


def style_for(format_name: str, compat: str) -> tuple[Style, bool]:
    """Return the style, and whether it writes what devices share only once.

    Args:
        format_name: `xml`, `human_readable` or `json`.
        compat: the version of thin_dump to equal: `1.1` or `0.9`.
    """
    make, sharing = _STYLES[format_name, compat]
    return make(), sharing
