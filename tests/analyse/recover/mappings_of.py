"""What is left of a damaged pool: each device's mappings, and what is told of them."""

import thinmeta

Mappings = dict[int, set[tuple[int, int, int]]]


def mappings_of(content: bytes) -> tuple[Mappings, thinmeta.Losses]:
    """Return origin block, data block and time of each device's mappings, and what is lost."""
    found = {}
    with thinmeta.open_pool(content) as pool:
        left = pool.salvaged()
        for device_id, device in left.devices.items():
            runs = device.runs().read()
            found[device_id] = {
                (run.origin_begin + at, run.data_begin + at, run.time)
                for run in runs
                for at in range(run.length)
            }
        return found, left.losses()
