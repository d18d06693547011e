"""Where the bytes of a chosen device are, whatever of it is lost; and its contents as a file."""

from collections.abc import Callable

from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.losses import Losses
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import MAX_BYTES, Layout
from thinmeta.volume.sources import Sources
from thinmeta.walk.stream_reader import read_runs


def layout_of(
    chosen: ChosenDevice,
    losses: Losses | None = None,
    *,
    size: int | None = None,
    data_bytes: int = MAX_BYTES,
    origin_bytes: int = 0,
) -> Layout:
    """Read where the bytes of a device are.

    Args:
        chosen: the device.
        losses: what is lost of it, for a pool whose `on_damage` lets go on; None if nothing is.
        size: of the device, in bytes; None: as its name says, or up to the last mapped block.
        data_bytes: the size of the data device, if it is known; the pool may say less.
        origin_bytes: the size of the external origin, if there is one.

    Raises:
        DamagedMetadataError: a part of the mappings is lost, and the pool's `on_damage` raises.
        InputError: the block size or, without `size`, the last mapped block is impossible; or a
            metadata snapshot was read, and the pool moved on meanwhile.
    """
    pool = chosen.pool
    block_bytes = pool.data_block_bytes()
    device_id = chosen.device.device_id if chosen.device else None
    in_pool = pool.live_superblock.data_space_map.nr_blocks * block_bytes or MAX_BYTES
    layout = Layout.read(
        read_runs(pool.source, chosen.mapping_root, device_id, pool.on_damage),
        block_bytes,
        size=chosen.size if size is None else size,
        data_bytes=min(data_bytes, in_pool),
        origin_bytes=origin_bytes,
        lost=[
            (lost.first_key, lost.last_key + 1)
            for loss in (losses.devices if losses is not None else ())
            for lost in loss.ranges
        ],
    )
    pool.verify_unchanged()
    return layout


def volume_of(
    chosen: ChosenDevice,
    sources: Sources,
    *,
    size: int | None = None,
    prepare: Callable[[], tuple[ChosenDevice, Losses | None]] | None = None,
) -> Volume:
    """Return the contents of a device, of which nothing is read before it is asked for.

    Args:
        chosen: of a pool that must stay open until then.
        sources: its data and its external origin; the volume closes them.
        size: of the device, in bytes; see `layout_of`.
        prepare: finds out what is lost of it, see `layout_of`, and returns the device as it is
            to be read then; None reads it as it is.
    """

    def load() -> Layout:
        device, losses = (chosen, None) if prepare is None else prepare()
        return layout_of(
            device,
            losses,
            size=size,
            data_bytes=sources.data.size,
            origin_bytes=sources.origin_bytes,
        )

    return Volume(f"{chosen.pool.source.device.name}: device {chosen.name}", load, sources)
