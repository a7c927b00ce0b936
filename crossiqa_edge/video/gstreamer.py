"""``PipelineReading``: what a GStreamer pipeline shows, for boards whose decoders only GStreamer reaches.

The pipeline runs in a process of its own, ``gst-launch-1.0``, and sends raw I420 pictures with their
time stamps through a pipe, in Matroska. On a Jetson, for instance::

    gst:filesrc location=clip.mp4 ! qtdemux ! h264parse ! nvv4l2decoder ! nvvidconv
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from dataclasses import replace

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.piped import unbuffered
from crossiqa_edge.video.address import GSTREAMER, Address, piped
from crossiqa_edge.video.decoder import SOFTWARE
from crossiqa_edge.video.reading import Reading
from crossiqa_edge.video.redact import redact

_LAUNCHER = "gst-launch-1.0"
_TAIL = "! videoconvert ! video/x-raw,format=I420 ! matroskamux streamable=true ! fdsink fd=1 sync=false"
_PARTING = 2.0  # seconds that the process has to end by itself


class PipelineReading(Reading):
    """One run of a pipeline. It cannot be sought, and its process ends with ``close``."""

    def __init__(self, address: Address, *, timeout: float) -> None:
        """Start the pipeline and wait for its first picture.

        Raises:
            InputError: GStreamer is not installed, or the pipeline gives no picture.
        """
        launcher = shutil.which(_LAUNCHER)
        if launcher is None:
            raise InputError(
                f"{address.name}: {_LAUNCHER} is not installed; on Debian, Ubuntu and Jetson: "
                "apt install gstreamer1.0-tools gstreamer1.0-plugins-good"
            )
        # Not a pipe: one that nobody reads would fill and stop the process.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the reading
        self._process = subprocess.Popen(
            [launcher, "-q", *_words(address), *shlex.split(_TAIL)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
        )
        try:
            assert self._process.stdout is not None
            pipe = replace(piped(unbuffered(self._process.stdout), address.name), kind=GSTREAMER)
            super().__init__(pipe, hardware=SOFTWARE, timeout=timeout, threads=None, start=None)
        except InputError as error:
            self._finish()
            reason = self._complaint() or "it ended without one"
            raise InputError(f"{address.name}: the pipeline gave no picture ({reason})") from error

    def shortfall(self) -> str | None:
        """Why the pipeline failed; None if it came to its end."""
        self._finish()
        return None if self._process.returncode == 0 else f"the pipeline failed ({self._complaint()})"

    def close(self) -> None:
        super().close()
        self._finish()
        self._log.close()

    def _finish(self) -> None:
        """Wait for the process, which ends when nobody reads what it writes; end it if it does not."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        try:
            self._process.wait(_PARTING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _complaint(self) -> str:
        """The first error that GStreamer told, in one line."""
        if self._log.closed:
            return "closed"
        self._log.seek(0)
        lines = self._log.read(1 << 16).decode(errors="replace").splitlines()
        told = next((line for line in lines if "ERROR" in line or "WARNING" in line), "")
        return redact(" ".join(told.split()))[:300]


def _words(address: Address) -> list[str]:
    try:
        words = shlex.split(address.target)
    except ValueError as error:
        raise InputError(f"{address.name}: the pipeline has an open quote; close it") from error
    if not words:
        raise InputError("gst: needs a pipeline, for instance gst:videotestsrc num-buffers=100")
    return words
