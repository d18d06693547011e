"""What a container changed, as a layer of the image that is made of it."""

from collections.abc import Iterator, Sequence

from thinmeta.archive.docker_export import DockerHeaders, Owners
from thinmeta.archive.layer_archive import LayerMember, layer_pieces, present
from thinmeta.archive.tree_archive import TreeArchive
from thinmeta.errors import InputError
from thinmeta.files.file_system import FileError
from thinmeta.files.file_tree import OnFileError, with_inodes
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.images.saved_layers import digest_of

_ROOT = {0: b"root"}


class CommittedLayer:
    """The layer, read once to know its hash, and once more to be written.

    Attributes:
        diff_id: the sha256 of its tar, 64 digits.
        nr_files: that are in it, without those that it removes.
        nr_sockets: that were left out: no tar has them.
    """

    def __init__(  # noqa: PLR0913  # all that its bytes hang on
        self,
        opened: OpenedFiles,
        members: Sequence[LayerMember],
        removed_at: int,
        owners: Owners,
        on_error: OnFileError,
        *,
        salvage: bool,
    ) -> None:
        """Read it once.

        Args:
            opened: the file system of the container's volume.
            members: of the layer, in order.
            removed_at: what the tar has as time of the files that it removes, in seconds
                since 1970.
            owners: names on the container's host, as far as they are known, by which Docker
                20.10 calls them; root is.
            on_error: told of what is left out, and with `salvage` of what is zeros instead.
            salvage: write zeros for what cannot be had.

        Raises:
            FileError: a part of a file turned out to be unreadable.
        """
        self._opened = opened
        self._members = members
        self._removed_at = removed_at
        self._headers = DockerHeaders(*(_ROOT | names for names in owners))
        self._salvage = salvage
        archive = self._archive(on_error)
        self.diff_id, self._size = digest_of(self._tar(archive, on_error))
        self.nr_files = archive.nr_files
        self.nr_sockets = archive.nr_sockets

    def size(self) -> int:
        """Return how long its tar is, in bytes."""
        return self._size

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Return its tar in order; a view is valid until the next piece.

        Raises:
            FileError: it cannot be read any more.
        """
        return self._tar(self._archive(_said_before), _said_before)

    def refusal(self, why: str | None) -> InputError:
        """Say that it could be read once, and then not, or not as it had been."""
        what = "what the container changed was read twice, and was not the same"
        return InputError(f"{what}: {why}" if why else f"{what}: something writes to it")

    def _archive(self, on_error: OnFileError) -> TreeArchive:
        return TreeArchive(self._opened, self._headers, on_error, salvage=self._salvage)

    def _tar(self, archive: TreeArchive, on_error: OnFileError) -> Iterator[bytes | memoryview]:
        file_system = self._opened.file_system
        return layer_pieces(
            archive, file_system, self._members, lambda _: self._removed_at, on_error
        )


def newest(opened: OpenedFiles, members: Sequence[LayerMember]) -> int | None:
    """Return the time of the last change of all files of a layer, in ns since 1970.

    None is a layer without files that can be read.
    """
    found = (inode for _, inode in with_inodes(opened.file_system, present(members)))
    # Whoever reads them tells of those that cannot be read.
    times = (inode.mtime for inode in found if not isinstance(inode, FileError))
    return max(times, default=None)


def _said_before(path: bytes, error: FileError) -> None:
    """Do nothing: the same was wrong when the layer was read for its hash."""
