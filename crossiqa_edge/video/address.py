"""What a user's text names: a file, a folder, a stream, a camera; and how far FFmpeg may go to open it.

FFmpeg would open nearly anything it is handed, lists of other files and programs' pipes among them. So
it is told here, for each kind of source, which protocols and which container formats it may use.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.decode import name_of
from crossiqa_edge.imaging.piped import Readable, unbuffered
from crossiqa_edge.video.redact import redact

# Kinds of sources.
FILE, FOLDER, PIPE, CAMERA, STREAM = "file", "folder", "pipe", "camera", "stream"
TESTPATTERN, GSTREAMER = "testpattern", "gstreamer"

# What a URL of each scheme may make FFmpeg use. HTTP brings HLS, whose parts lie at further URLs.
_NETWORK = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "http": "http,https,tcp,tls,crypto",
    "https": "http,https,tcp,tls,crypto",
    "udp": "udp",
}
# Containers that hold their own pictures. Not among them: lists of other files (concat, local playlists,
# SDP), patterns of file names (image2), programs (lavfi).
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,av1,obu,ivf,flv,asf,mxf,"
    "ogg,nut,m4v,dv,rm,gif,apng,mjpeg,mpjpeg,yuv4mpegpipe"
)
_CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation"}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_RESERVED = re.compile(r"(camera|testpattern|gst):(.*)", re.DOTALL)
_RTSP_OVER = "tcp"  # loses nothing, and passes the firewalls that UDP does not


@dataclass(frozen=True, slots=True)
class Address:
    """A source that can be opened.

    Attributes:
        kind: ``FILE``, ``FOLDER``, ``PIPE``, ``CAMERA``, ``STREAM``, ``TESTPATTERN`` or ``GSTREAMER``.
        target: what opens it: FFmpeg's URL, a path, or what followed ``testpattern:`` or ``gst:``.
        name: one printable line without credentials.
        format: FFmpeg's name of the only container to try; None tries those that are allowed.
        options: FFmpeg's, for opening; the limits on protocols and formats among them.
        opened: what is read from front to back, or as a file if it is one, in place of ``target``.
    """

    kind: str
    target: str
    name: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    opened: Readable | None = None


def address_of(source: str | os.PathLike[str]) -> Address:
    """The address that ``source`` names.

    A path object is a file or a folder, whatever it looks like. A text is

    * ``-``, standard input;
    * ``camera:0`` or ``camera:/dev/video0``, ``testpattern:`` or ``testpattern:1280x720@30``, and
      ``gst:`` with a GStreamer pipeline;
    * a URL, if a scheme and ``://`` begin it: ``rtsp``, ``rtsps``, ``http``, ``https`` or ``udp``;
    * a path otherwise, also one that begins with ``-``. A file that is named like one of the above is
      given with ``./`` before it.

    Raises:
        InputError: nothing there, a protocol that is not allowed, or a URL that cannot be right.
    """
    if isinstance(source, os.PathLike):
        return _path(os.fsdecode(source))
    if source == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed; pipe a video into it")
        if sys.stdin.isatty():
            raise InputError("standard input is a terminal; pipe a video into it")
        return piped(unbuffered(sys.stdin.buffer), source)
    reserved = _RESERVED.fullmatch(source)
    if reserved:
        return _reserved(reserved[1], reserved[2])
    scheme = _SCHEME.match(source)
    return _url(source, scheme[1].lower()) if scheme else _path(source)


def piped(stream: Readable, name: str) -> Address:
    """What can be read from an open pipe: y4m, MPEG-TS, Matroska, anything read front to back."""
    options = {"protocol_whitelist": "pipe", "format_whitelist": _CONTAINERS}
    return Address(PIPE, "", name, options=options, opened=stream)


def _reserved(word: str, rest: str) -> Address:
    if word == "camera":
        return _camera(rest)
    name = redact(name_of(f"{word}:{rest}"))
    return Address(TESTPATTERN if word == "testpattern" else GSTREAMER, rest, name)


def _camera(which: str) -> Address:
    form = _CAMERA_FORMATS.get(sys.platform)
    if form is None:
        raise InputError(f"camera:{which}: cameras are not read on {sys.platform}; give a stream or a file")
    target = f"/dev/video{which}" if form == "v4l2" and which.isdecimal() else which
    if form == "v4l2" and not Path(target).is_char_device():
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise InputError(f"camera:{name_of(which)}: no such camera; devices here: {found}")
    return Address(CAMERA, target, f"camera:{name_of(which)}", form, {"protocol_whitelist": "file"})


def _url(url: str, scheme: str) -> Address:
    name = redact(name_of(url))
    if scheme not in _NETWORK:
        raise InputError(
            f"{name}: protocol {scheme} is not allowed; use {', '.join(_NETWORK)}, or the path of a file"
        )
    if re.search(r"[\s'\"<>\\]", url) or not url.isprintable():
        raise InputError(f"{scheme} URL with spaces, quotes or control codes; write them as %20 and so on")
    options = {"protocol_whitelist": _NETWORK[scheme]}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = _RTSP_OVER
    else:
        options["format_whitelist"] = f"{_CONTAINERS},hls" if scheme.startswith("http") else _CONTAINERS
    return Address(STREAM, url, name, options=options)


def _path(path: str) -> Address:
    name = name_of(path)
    place = Path(path)
    try:
        if place.is_dir():
            return Address(FOLDER, path, name)
        if place.is_char_device() or place.is_block_device():
            raise InputError(f"{name}: a device, not a file; a camera is given as camera:{name}")
        place.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be read ({reason}); check the path and its permissions") from error
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    return Address(FILE, f"file:{path}", name, options=options)  # file: takes the rest as it stands
