"""A thin device as readable bytes: reading, extracting, device-mapper tables."""
