"""What docker export says of files: names of owners."""

from thinmeta.archive.docker_export import names_in


def test_a_number_that_no_owner_can_have_names_nobody() -> None:
    passwd = b"odd:x:" + b"9" * 5000 + b":0::/:\nroot:x:0:0::/:/bin/sh\n"

    assert names_in(passwd, nr_fields=7) == {0: b"root"}
