"""Progress: only on a terminal, only when there is something to say."""

import io
import sys
import time

import pytest

from thinmeta.cli.progress import Progress, bytes_text, copied_text


class Terminal(io.StringIO):
    """Standard error on a terminal, and a clock that stands still."""

    now = 100.0

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put one in place; not in a fixture, after which pytest puts its own there."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


def test_it_says_how_much_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)

    with Progress(text=bytes_text) as progress:
        progress.advance(1 << 20, 100 << 20)
        terminal.now += 2
        progress.advance(0, 100 << 20)
        progress.advance(3 << 20, 100 << 20)

    assert terminal.getvalue() == "\r  1% of 100 MiB, 512 KiB/s, 3:18 left\033[K\r\033[K"


def test_it_says_how_much_where_the_end_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)

    with Progress(text=copied_text) as progress:
        terminal.now += 2
        progress.advance(1 << 20, 1 << 20)
        progress.take_away()

    assert terminal.getvalue() == "\r1 MiB copied, 512 KiB/s\033[K\r\033[K"


def test_the_line_is_taken_away_before_an_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)

    def work() -> None:
        with Progress() as progress:
            terminal.now += 2
            progress.advance(3, 4)
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        work()

    assert terminal.getvalue() == "\r 75% read\r\033[K"


@pytest.mark.parametrize(("size", "quiet"), [(0, False), (5, True)])
def test_it_says_nothing(size: int, quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)

    with Progress(quiet=quiet, text=bytes_text) as progress:
        terminal.now += 2
        progress.advance(size, 10)

    assert terminal.getvalue() == ""
