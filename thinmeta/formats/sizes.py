"""Sizes for people."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_text(size: int) -> str:
    """Return a number of bytes in the largest unit that leaves at least 1 of it.

    >>> size_text(0), size_text(65536), size_text(5 << 19), size_text(3 << 70)
    ('0 bytes', '64 KiB', '2.5 MiB', '3072 EiB')
    """
    power = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{size / 1024**power:.1f}".removesuffix(".0") + f" {_UNITS[power]}"
