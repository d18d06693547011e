"""How far a command is, as a line on a terminal that is taken away in the end."""

import sys
import time
from collections.abc import Callable
from typing import Self

import click

_SILENT_SECONDS = 1.0
_REDRAW_SECONDS = 0.2

ProgressText = Callable[[int, int, float], str]
"""Says how much is done, of how much, in how many seconds."""


def read_text(done: int, total: int, seconds: float) -> str:  # noqa: ARG001  # others tell the rate
    """Say how much was read."""
    return f"{min(100, 100 * done // total):3d}% read"


def bytes_text(done: int, total: int, seconds: float) -> str:
    """Say how many bytes are done, how fast, and how long the others will take."""
    from thinmeta.formats.sizes import size_text

    rate = done / seconds
    left = int((total - done) / rate)
    return (
        f"{100 * done // total:3d}% of {size_text(total)}, {size_text(int(rate))}/s, "
        f"{left // 60}:{left % 60:02d} left\033[K"
    )


def copied_text(done: int, total: int, seconds: float) -> str:  # noqa: ARG001  # nobody knows it
    """Say how many bytes are copied, and how fast, where nobody knows how many there are."""
    from thinmeta.formats.sizes import size_text

    return f"{size_text(done)} copied, {size_text(int(done / seconds))}/s\033[K"


class Progress:
    """A line that counts up, on a terminal, once the work has taken a while.

    A context manager: the line is taken away at its end, and may be drawn again later.
    """

    def __init__(self, *, quiet: bool = False, text: ProgressText = read_text) -> None:
        """Show nothing yet."""
        self._shown = not quiet and sys.stderr.isatty()
        self._text = text
        self._begin = time.monotonic()
        self._next = self._begin + _SILENT_SECONDS
        self._done = 0
        self._drawn = False

    def __enter__(self) -> Self:
        """Return the progress."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self.take_away()

    def take_away(self) -> None:
        """Take the line away, before something else is said."""
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)
            self._drawn = False

    def advance(self, steps: int, total: int) -> None:
        """Count `steps` more of `total`; an `OnProgress`."""
        self._done += steps
        now = time.monotonic()
        if self._shown and self._done and total and now >= self._next:
            self._next = now + _REDRAW_SECONDS
            self._drawn = True
            click.echo(f"\r{self._text(self._done, total, now - self._begin)}", nl=False, err=True)
