"""The formats of `dump` by their names."""

from importlib import import_module

from thinmeta.formats.style import Style

# Where each style is, and whether it writes what devices share only once.
_STYLES = {
    ("xml", "1.1"): ("thinmeta.formats.xml", "Xml", True),
    ("xml", "0.9"): ("thinmeta.formats.xml", "Xml09", False),
    ("human_readable", "1.1"): ("thinmeta.formats.human_readable", "HumanReadable", True),
    ("human_readable", "0.9"): ("thinmeta.formats.human_readable", "HumanReadable09", False),
    ("json", "1.1"): ("thinmeta.formats.json_lines", "JsonLines", False),
    ("json", "0.9"): ("thinmeta.formats.json_lines", "JsonLines", False),
}


def style_for(format_name: str, compat: str) -> tuple[Style, bool]:
    """Return the style, and whether it writes what devices share only once.

    Args:
        format_name: `xml`, `human_readable` or `json`.
        compat: the version of thin_dump to equal: `1.1` or `0.9`.
    """
    module, name, sharing = _STYLES[format_name, compat]
    style: Style = getattr(import_module(module), name)()
    return style, sharing
