"""`--bad-map`: what of a copied disk was never read."""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from thinmeta.cli.parameters import DISK, from_environment

_Function = TypeVar("_Function", bound=Callable[..., Any])
_WORDS = "thinmeta bad maps"
_READ = ("pool", "metadata", "source", "data", "origin")
"""Parameters that name one file, and not a folder."""


def bad_map_option(function: _Function) -> _Function:
    """Add `--bad-map`, which holds for all that the command opens."""

    @wraps(function)  # also what click keeps on it
    def collected(*args: Any, bad_map: tuple[str, ...], **others: Any) -> Any:
        if bad_map:
            from thinmeta.device.bad_maps import bad_maps

            pairs = [_copy_and_map(each) for each in bad_map]
            for copy, _ in pairs:
                _refuse_unread(copy, others)
            context = click.get_current_context()
            context.with_resource(bad_maps(pairs))
            context.meta[_WORDS] = [word for each in bad_map for word in ("--bad-map", each)]
        return function(*args, **others)

    return click.option(
        "--bad-map",
        type=DISK,
        metavar="FILE[=MAP]",
        multiple=True,
        help="FILE, which is METADATA, DATA, ORIGIN or a disk of --lvm, is the copy of a disk that "
        "failed: what was never read of it, as GNU ddrescue's MAP says, is lost. MAP is FILE.map "
        "by default.",
    )(collected)  # type: ignore[return-value]


def bad_map_words() -> list[str]:
    """Return the words of the command line that say so again."""
    context = click.get_current_context(silent=True)
    return list(context.meta.get(_WORDS, [])) if context else []


def _copy_and_map(text: str) -> tuple[Path, Path]:
    file, is_both, path = text.rpartition("=")
    if not is_both or Path(text).exists():
        return Path(text), Path(f"{text}.map")
    return Path(file), Path(path)


def _refuse_unread(copy: Path, others: Mapping[str, Any]) -> None:
    """Refuse a copy that is none of what the command reads: its map would be of no effect."""
    from contextlib import suppress

    from thinmeta.device.part_of_file import PartOfFile

    if others.get("docker_root"):
        return  # the pool is in files below it
    read = [others[name] for name in _READ if isinstance(others.get(name), Path)]
    read += [*map(Path, others.get("lvm", ())), *filter(None, [from_environment()])]
    for each in read:
        with suppress(OSError):
            if copy.samefile(PartOfFile.of(each).path):
                return
    if copy.exists():
        raise click.UsageError(
            f"--bad-map: {copy} is neither METADATA nor DATA, ORIGIN or a disk of --lvm: its map "
            "would be of no effect"
        )
