"""``Feed``: frames in, scores out, one at a time, for programs that own their capture loop."""

from __future__ import annotations

import threading
from math import isfinite
from time import perf_counter

import numpy as np

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import Frame, check_frame
from crossiqa_edge.imaging.yuv import Planes
from crossiqa_edge.runtime.device_array import DeviceReader, OnDevice, device_array
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.prepare import Preparer, result_of
from crossiqa_edge.video.results import FrameScore


class Feed:
    """One stream of frames that are handed in. Flags and cuts refer to the frame before.

    Calls may come from any thread, one after the other: a second one waits for the first.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._preparer = Preparer(scorer)
        self._lock = threading.Lock()
        self._index = 0
        self._pts = float("-inf")
        self._shot = 0
        self._from_device: DeviceReader | None = None  # opened for the first frame in GPU memory

    def push(self, picture: Frame | Planes | OnDevice, pts: float) -> FrameScore:
        """The result of the next frame; returns when it is scored.

        Args:
            picture: uint8 (H, W, 3) RGB in main memory, or in GPU memory with ``__cuda_array_interface__``,
                from where all of it is copied first; or ``Planes`` (``Planes.from_nv12`` makes them of what a
                GStreamer appsink or DeepStream hands over). It is read before this returns and not kept.
            pts: presentation time in seconds, after that of the frame before.

        Raises:
            InputError: not such a picture, too small, or time does not advance.
            BackendError: the runtime failed.
            MissingDependencyError: a frame in GPU memory, without the ``cuda`` extra.
        """
        arrived = perf_counter()
        with self._lock:
            if not (isfinite(pts) and pts > self._pts):
                raise InputError(f"frame {self._index}: time {pts} s does not come after {self._pts} s")
            frame = VideoFrame(self._index, pts, self._in_main_memory(picture))
            item = self._preparer.prepare(frame, self._index, arrived)
            started = perf_counter()
            raw = None if item.views is None else self._scorer.backend.infer(item.views)
            infer_ms = 1e3 * (perf_counter() - started)
            score = None if raw is None else self._scorer.pool(raw, {})
            result = result_of(item, score, started, infer_ms, is_cut=item.shot != self._shot)
            self._index, self._pts, self._shot = self._index + 1, pts, item.shot
            return result

    def close(self) -> None:
        """Give back what copying from GPU memory took; the next such frame takes it anew."""
        with self._lock:
            if self._from_device is not None:
                self._from_device.close()
                self._from_device = None

    def _in_main_memory(self, picture: Frame | Planes | OnDevice) -> Frame | Planes:
        if isinstance(picture, Planes):
            return picture
        found = device_array(picture)
        if found is None:
            if not isinstance(picture, np.ndarray):
                raise InputError(f"a frame is an array or Planes, this is {type(picture).__name__}")
            check_frame(picture)
            return picture
        if not found.is_uint8 or len(found.shape) != 3 or found.shape[2] != 3:
            raise InputError(f"a frame in GPU memory is uint8 (H, W, 3), this is {found}; convert it to RGB")
        if self._from_device is None:
            self._from_device = DeviceReader()
        frame = self._from_device.fetch(found)
        check_frame(frame)
        return frame
