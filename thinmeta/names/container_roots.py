"""The roots of Docker, Podman and containerd: which of them names a pool's devices, read once."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from thinmeta.errors import InputError

if TYPE_CHECKING:
    from thinmeta.device.inputs import Inputs
    from thinmeta.names.docker.root import DockerRoot


class GivenRoots(NamedTuple):
    """Where they are; None where nothing was given.

    Attributes:
        docker: Docker's, or that of Podman and CRI-O.
        containerd: containerd's.
        default: Docker's where nothing else says who names devices.
    """

    docker: Path | None = None
    containerd: Path | None = None
    default: Path | None = None


class ContainerRoots:
    """Reads them when they are asked for."""

    def __init__(self, given: GivenRoots) -> None:
        """Read nothing yet."""
        self._given = given
        self._read: dict[Path, DockerRoot] = {}

    @property
    def _docker(self) -> Path | None:
        return self._given.docker or self._given.default

    def docker(self, metadata: Path, *, may_be_live: bool) -> "DockerRoot | None":
        """Return Docker's root, if one was given, or the host has one and the pool is live.

        Args:
            metadata: of the pool.
            may_be_live: ask the host where none was given.

        Raises:
            InputError: the root that was given is none.
        """
        root = self._docker
        if root is None and may_be_live and self._given.containerd is None:
            from thinmeta.names.docker.live_root import root_of_live

            root = root_of_live(metadata)
        if root is None:
            return None
        from thinmeta.names.docker.root import read_docker_root

        if root not in self._read:
            self._read[root] = read_docker_root(root)
        return self._read[root]

    def containerd(self) -> "DockerRoot | None":
        """Return what containerd's root says, as Docker's says it; None if none was given.

        Raises:
            InputError: the root that was given is none.
        """
        root = self._given.containerd
        if root is None:
            return None
        from thinmeta.names.containerd.containerd_root import read_containerd_root

        if root not in self._read:
            self._read[root] = read_containerd_root(root)
        return self._read[root]

    def loop_data(self, metadata: Path) -> Path | None:
        """Return the file with the data of a pool, if Docker's root has it.

        Args:
            metadata: of the pool. The environment's root may be that of another one.
        """
        from thinmeta.names.docker.found_root import loop_files

        files = loop_files(self._docker) if self._docker else None
        if files is None or (self._given.docker is None and not _is_same(metadata, files[0])):
            return None
        return files[1]

    def loop_metadata(self, environment: Path | None) -> Path | None:
        """Return what Docker keeps in a file under the root that was given, else `environment`.

        Args:
            environment: counts more than the file under the default root.

        Raises:
            InputError: the root is none.
        """
        from thinmeta.names.docker.found_root import loop_files

        given = self._given
        files = loop_files(given.docker) if given.docker else None
        if files is None and environment is not None:
            return environment
        if files is None and given.default is not None:
            files = loop_files(given.default)
        return files[0] if files else None

    def add_to(self, inputs: "Inputs") -> None:
        """Add all that is below the roots, read or not, to what is read."""
        from thinmeta.names.docker.found_root import folders_of, loop_files

        if self._given.containerd is not None:
            from thinmeta.names.containerd.found_containerd import containerd_folders

            with suppress(InputError):
                for folder in containerd_folders(self._given.containerd):
                    inputs.add_folder(folder, "containerd's root")
        of_containerd = {self._given.containerd}
        for root in {*self._read, *filter(None, [self._docker])} - of_containerd:
            for folder in folders_of(root):
                inputs.add_folder(folder, "Docker's root")
            with suppress(InputError):
                for file in loop_files(root) or ():
                    inputs.add(file)
        for root, read in self._read.items():
            whose = "containerd" if root in of_containerd else "Docker"
            inputs.add_files(read.files_read, f"a file of {whose}'s root")


def _is_same(path: Path, other: Path) -> bool:
    with suppress(OSError):
        return path.samefile(other)
    return False
