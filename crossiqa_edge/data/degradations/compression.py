"""Compression by Pillow's encoders, in memory."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from crossiqa_edge.imaging.sampling import Frame


def jpeg(image: Frame, quality: float, generator: np.random.Generator) -> Frame:
    """Baseline JPEG with 4:2:0 chroma at the IJG ``quality`` 1..100."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=round(quality), subsampling="4:2:0")
    return _decoded(buffer)


def jpeg2000(image: Frame, ratio: float, generator: np.random.Generator) -> Frame:
    """JPEG 2000 with the irreversible 9/7 wavelet at 24 / ``ratio`` bits a pixel."""
    buffer = io.BytesIO()
    # A bare codestream: JP2's boxes would eat into the few bytes that a small picture is allowed.
    Image.fromarray(image).save(
        buffer,
        "JPEG2000",
        no_jp2=True,
        irreversible=True,
        mct=1,
        quality_mode="rates",
        quality_layers=[ratio],
        num_resolutions=min(6, min(image.shape[:2]).bit_length()),
    )
    return _decoded(buffer)


def _decoded(buffer: io.BytesIO) -> Frame:
    buffer.seek(0)
    with Image.open(buffer) as picture:
        return np.array(picture.convert("RGB"))
