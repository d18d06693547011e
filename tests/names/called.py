"""What the devices of a catalogue are called."""

from thinmeta.names.catalogue import Catalogue


def names_in(catalogue: Catalogue) -> dict[int, str]:
    """Return the best name of each id, whatever device has it."""
    return {device.device_id: device.name for device in reversed(catalogue.devices)}
