"""Decoding leaves the process around it as it was, and says nothing on its own."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from picture_files import FRAME, LOSSLESS, PICTURE, bomb, encoded, refusal
from PIL import Image

from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.quiet import quiet_pillow


def test_no_warnings_and_the_callers_filters_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    corrupt = bytearray(encoded(PICTURE, "TIFF", compression="tiff_adobe_deflate"))
    corrupt[20:60] = bytes(40)  # makes libtiff complain in C
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = warnings.filters[:]
        refusal(bytes(corrupt))
        decode(encoded(PICTURE, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken"))
        assert "truncated" in refusal(bomb(10_000, 10_000))  # Pillow warns of that size
        assert warnings.filters == before
    assert not caught
    assert capfd.readouterr() == ("", "")


def test_overlapping_threads_restore_the_filters_and_the_limit() -> None:
    filters, limit = warnings.filters[:], Image.MAX_IMAGE_PIXELS
    failures: list[BaseException] = []

    def work(max_pixels: int) -> None:
        try:
            for _ in range(20):
                np.testing.assert_array_equal(decode(LOSSLESS["PNG"], max_pixels=max_pixels), FRAME)
                refusal(LOSSLESS["PNG"][:500], max_pixels=max_pixels)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(size,)) for size in (10**6, 10**9) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (warnings.filters, Image.MAX_IMAGE_PIXELS) == (filters, limit)


def test_whoever_lifts_the_limit_second_does_not_bring_it_back_lifted() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    entered, left = threading.Event(), threading.Event()

    def second() -> None:
        with quiet_pillow(2_000_000_000):
            entered.set()
            left.wait(30)

    thread = threading.Thread(target=second)
    with quiet_pillow(1_000_000_000):
        thread.start()
        entered.wait(0.3)  # it is held up until the first has left
    left.set()
    thread.join(30)
    assert entered.is_set() and limit == Image.MAX_IMAGE_PIXELS
