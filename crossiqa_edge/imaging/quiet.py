"""Pillow's process-wide state, borrowed for the time of one decode and given back as it was.

Warnings, the limit on pixels and libtiff's error printer belong to the whole process. A library that is
called from several threads of somebody else's program may neither change them for good nor restore
them in the wrong order.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from PIL import Image, _imaging

# Without a handler of its own, the notes of Pillow's TIFF reader would go to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_PILLOW_REFUSES_ABOVE = 178_956_970  # pixels; twice its MAX_IMAGE_PIXELS as shipped

_counting = threading.Lock()
_lifting = threading.Lock()
_running = 0
_filters = warnings.catch_warnings()


@contextmanager
def quiet_pillow(max_pixels: int) -> Iterator[None]:
    """Within the block Pillow prints nothing and allows pictures of ``max_pixels``; threads may overlap."""
    _mute_libtiff()
    with _no_warnings(), _allowing(max_pixels):
        yield


@contextmanager
def _no_warnings() -> Iterator[None]:
    """The first of several threads installs the filter and the last one removes it."""
    global _running, _filters
    with _counting:
        if _running == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _running += 1
    try:
        yield
    finally:
        with _counting:
            _running -= 1
            if _running == 0:
                _filters.__exit__(None, None, None)


@contextmanager
def _allowing(max_pixels: int) -> Iterator[None]:
    """Lift Pillow's limit, one thread at a time, only for those who ask for more than it has."""
    if max_pixels <= _PILLOW_REFUSES_ABOVE:
        yield
        return
    with _lifting:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@cache
def _mute_libtiff() -> None:
    """Stop libtiff from printing what Pillow raises anyway.

    Pillow mutes libtiff's warnings but not its errors, and has no function for it. Where libtiff cannot
    be reached this way (linked statically), a damaged TIFF file prints a line of its own.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
