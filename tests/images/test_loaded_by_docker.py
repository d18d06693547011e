"""What dockerd said when it loaded images that were saved from the pools here."""

import json
import re

from tests.cases import FIXTURES

LOG = (FIXTURES / "recovery/docker-load.log").read_text()
CASES = {
    "save-odd": "docker-files-direct-lvm-ext4-64k",
    "save-demo": "docker-direct-lvm-ext4-512k",
    "save-loop": "docker-loop-lvm-xfs-64k",
}


def images_after(archive: str) -> dict[str, str]:
    """Return the ids, by tag, that were there when an archive had been loaded."""
    _, _, after = LOG.partition(f"$ docker load -i {archive}.tar\n")
    loaded, _, _ = after.partition("\n$ docker load ")
    return dict(re.findall(r"^(\S+:\S+) (sha256:[0-9a-f]{64})$", loaded, re.MULTILINE))


def test_each_image_has_the_id_that_it_had() -> None:
    for archive, case in CASES.items():
        inspected = json.loads((FIXTURES / case / "docker-inspect-images.json").read_text())
        known = {tag: image["Id"] for image in inspected for tag in image["RepoTags"]}
        found = images_after(archive)

        assert len(found) >= 2
        assert found.items() <= known.items()


def test_containers_that_were_committed_run_with_their_files() -> None:
    for tag in ("rescued", "loop"):
        _, _, after = LOG.partition(f"--network none dead1:{tag} /bin/cat /root/secret.txt")
        assert after.splitlines()[1:3] == ["rescued", "111-edited"]
