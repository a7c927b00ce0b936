"""``redact``: no password, token or key that stands in a URL gets into a log, a result or an error.

Cameras and stream services take credentials inside URLs, and FFmpeg's messages repeat those URLs. So
whatever the video room says to the outside, names and reasons alike, passes through here.
"""

from __future__ import annotations

import re

HIDDEN = "***"

# A URL in running text ends at white space, a quote or an angle bracket.
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s'\"<>]*)", re.IGNORECASE)
# Outside URLs too: `Authorization: Basic dTpw`, `token=abc`, `password: abc`.
_HEADER = re.compile(r"(authorization\s*[:=]\s*)(basic|bearer|digest)?\s*[^\r\n]*", re.IGNORECASE)
_SECRET = re.compile(
    r"\b((?:[\w-]*(?:passw(?:or)?d|passwd|secret|token|signature|credential|api[_-]?key|access[_-]?key)"
    r"|pwd|pass|auth|key|sig)\s*[=:]\s*)[^\s&;,'\"<>]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """``text`` with the secrets of every URL in it replaced by ``***``.

    Of a URL remain scheme, host, port and path. User and password go, however they are escaped, and so do
    the values of all query parameters and the fragment: nobody can list the names under which services
    take tokens. Where it cannot be told which part is the password, only the scheme remains. Outside
    URLs, values that are named like a secret go. Idempotent.
    """
    text = _URL.sub(lambda found: found[1] + _redacted_rest(found[2]), text)
    text = _HEADER.sub(lambda found: found[1] + HIDDEN, text)
    return _SECRET.sub(lambda found: found[1] + HIDDEN, text)


def _redacted_rest(rest: str) -> str:
    """What follows ``scheme://``, without its secrets."""
    login, at, rest = rest.rpartition("@")
    if re.search("[/?#]", login):  # an unescaped password, or an @ in a path or a query: who can tell
        return HIDDEN
    place, question, query = rest.partition("#")[0].partition("?")
    values = "&".join(_named(parameter) for parameter in query.split("&")) if query else ""
    shown = (HIDDEN if login else "") + at + place + question + values
    return shown + ("#" + HIDDEN if "#" in rest else "")


def _named(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return name + equals + HIDDEN if equals else HIDDEN
