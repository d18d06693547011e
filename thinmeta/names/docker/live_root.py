"""Docker's root on the machine where its pool is active."""

from pathlib import Path

_DOCKER_ROOT = Path("/var/lib/docker")


def root_of_live(metadata: Path) -> Path | None:
    """Return Docker's root, if there is one, and `metadata` is that of an active pool."""
    from thinmeta.device.kernel import holders_of

    try:
        has_root = (_DOCKER_ROOT / "devicemapper/metadata").is_dir()
        is_live = has_root and metadata.is_block_device() and bool(holders_of(metadata))
    except OSError:  # nobody can tell
        return None
    return _DOCKER_ROOT if is_live else None
