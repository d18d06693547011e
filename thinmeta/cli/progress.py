"""Progress of commands that copy bytes."""

import sys
import time

import click

_SILENT_SECONDS = 1.0
_REDRAW_SECONDS = 0.2


class BytesProgress:
    """A line that says how much is done, how fast, and how long it will take."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        """Show nothing yet of `total` bytes."""
        self._total = total
        self._shown = not quiet and sys.stderr.isatty()
        self._begin = time.monotonic()
        self._next = self._begin + _SILENT_SECONDS
        self._done = 0
        self._drawn = False

    def advance(self, size: int) -> None:
        """Count `size` bytes more."""
        self._done += size
        now = time.monotonic()
        if self._shown and self._done and now >= self._next:
            self._next = now + _REDRAW_SECONDS
            self._drawn = True
            click.echo(f"\r{self._text(now - self._begin)}\033[K", nl=False, err=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)
            self._drawn = False

    def _text(self, seconds: float) -> str:
        from thinmeta.formats.sizes import size_text

        rate = self._done / seconds
        left = (self._total - self._done) / rate
        return (
            f"{100 * self._done // self._total:3d}% of {size_text(self._total)}, "
            f"{size_text(int(rate))}/s, {int(left) // 60}:{int(left) % 60:02d} left"
        )


class Progress:
    """A line that counts up, on a terminal, once the work has taken a while."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Show nothing yet."""
        self._shown = not quiet and sys.stderr.isatty()
        self._next = time.monotonic() + _SILENT_SECONDS
        self._done = 0
        self._drawn = False

    def advance(self, steps: int, total: int) -> None:
        """Count `steps` more of `total`."""
        self._done += steps
        now = time.monotonic()
        if self._shown and total and now >= self._next:
            self._next = now + _REDRAW_SECONDS
            self._drawn = True
            click.echo(f"\r{min(100, 100 * self._done // total):3d}% read", nl=False, err=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)
            self._drawn = False
