"""How hypothesis runs here: the same examples every time, and no clock."""

import os

from hypothesis import HealthCheck, settings

MOST = int(os.environ.get("THINMETA_EXAMPLES") or 25)
"""No property is tried on more examples; CI asks for all."""


def examples(count: int) -> settings:
    """Return a decorator that runs a property on `count` examples, or on `MOST`.

    A failure must be the same on every machine, so the examples are derived from the
    test itself. Some of them start processes, which no deadline fits. `lazy_datadir`
    and `tmp_path` are shared by a test's examples, each of which writes anew.
    """
    return settings(
        max_examples=min(count, MOST),
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
