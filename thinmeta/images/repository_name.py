"""What an image can be called: a repository and a tag."""

import re

_ALPHANUMERIC = r"[a-z0-9]+"
_COMPONENT = rf"{_ALPHANUMERIC}(?:(?:[._]|__|-+){_ALPHANUMERIC})*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_PORT = r":[0-9]+"
_HOST = rf"{_LABEL}(?:{_PORT}|(?:\.{_LABEL})+(?:{_PORT})?)"  # "localhost" is a component, too
_NAME = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?",
    re.ASCII,
)
_ID = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 255
_LATEST = "latest"


def tag_of(text: str) -> str:
    """Return an image's name with its tag, which is `latest` if none was given.

    >>> tag_of("guestbook"), tag_of("localhost:5000/team/guestbook:v1")
    ('guestbook:latest', 'localhost:5000/team/guestbook:v1')

    Raises:
        ValueError: it is no name that Docker would take; the message says what one is.

    Source: `ReferenceRegexp`, regexp.go, and `ParseNormalizedNamed()`, normalize.go
    (distribution 2.8).
    """
    match = _NAME.fullmatch(text)
    repository = match["repository"] if match else ""
    if match is None or len(repository) > _MOST_BYTES or _ID.fullmatch(repository):
        raise ValueError(
            f"{text!r} is no name of an image: give a repository in lower case and perhaps a "
            "tag, such as web, web:rescued or registry.example/team/web:1"
        )
    return f"{repository}:{match['tag'] or _LATEST}"
