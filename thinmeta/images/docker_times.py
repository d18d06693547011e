"""Times as Docker writes them: `2026-11-26T02:31:48.279280973Z`."""

from datetime import UTC, datetime, timedelta

_NS = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds_of(time: str | None) -> int | None:
    """Return a time in seconds since 1970, without what it has of a second; None if it is none.

    >>> seconds_of("2026-11-26T02:31:11.956699141Z"), seconds_of("soon")
    (1795660271, None)
    """
    try:
        at = datetime.fromisoformat(time or "")
        return (at.replace(tzinfo=at.tzinfo or UTC) - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def time_text(ns: int) -> str:
    """Return a time in ns since 1970 as Docker writes it.

    >>> time_text(1795660308_279280900), time_text(-1), time_text(0)
    ('2026-11-26T02:31:48.2792809Z', '1969-12-31T23:59:59.999999999Z', '1970-01-01T00:00:00Z')
    """
    seconds, rest = divmod(ns, _NS)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}{fraction}Z"
