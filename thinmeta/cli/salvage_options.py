"""`--salvage` and `--salvage-likely`: to go on past damage, and what to take for what is lost."""

from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Salvage(IntEnum):
    """What is done about damage; each does what those before it do."""

    NO = 0
    """Nothing: it ends the reading."""

    PROVEN = 1
    """Go on past it, and take what is proven to be what was lost."""

    LIKELY = 2
    """Take what likely was, too."""

    @property
    def words(self) -> list[str]:
        """How it is typed."""
        return [[], ["--salvage"], ["--salvage-likely"]][self]


def salvage_option(function: _Function) -> _Function:
    """Add `--salvage` and `--salvage-likely`, which arrive together as a `Salvage`, `salvage`."""

    @wraps(function)
    def collected(*args: Any, salvage: bool, salvage_likely: bool, **others: Any) -> Any:
        level = Salvage.PROVEN if salvage else Salvage.NO
        return function(*args, salvage=Salvage.LIKELY if salvage_likely else level, **others)

    for decorate in (
        click.option(
            "--salvage-likely",
            is_flag=True,
            help="As --salvage, and take what likely hung below lost nodes where nothing is "
            "proven; exit code 6 if anything is.",
        ),
        click.option(
            "--salvage",
            is_flag=True,
            help="Go on past any damage, take what is proven to hang below lost nodes, and say "
            "what is lost; exit code 6 if anything is.",
        ),
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]
