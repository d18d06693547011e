"""The root of Docker or Podman on the machine where its pool is active."""

from pathlib import Path

_ROOTS = (Path("/var/lib/docker"), Path("/var/lib/containers/storage"))


def root_of_live(metadata: Path) -> Path | None:
    """Return the root, if there is one and no other, and `metadata` is that of an active pool."""
    from thinmeta.device.kernel import holders_of

    try:
        roots = [each for each in _ROOTS if (each / "devicemapper/metadata").is_dir()]
        is_live = len(roots) == 1 and metadata.is_block_device() and bool(holders_of(metadata))
    except OSError:  # nobody can tell
        return None
    return roots[0] if is_live else None
