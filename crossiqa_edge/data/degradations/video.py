"""What happens to a frame of video between the camera and the screen, at five levels each.

No publication has set these levels; they span what streaming and transmission produce, from just visible to
hardly watchable. The scales are those of the standards and encoders: CRF as x264 and x265 define it,
luma coding and NAL units as in ITU-T H.264 and H.265.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter

from crossiqa_edge.data.degradations import h26x
from crossiqa_edge.data.degradations.registry import Apply, Band, Degradation, register
from crossiqa_edge.imaging.sampling import Frame

_Parameters = tuple[float, float, float, float, float]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

_CLIP_FRAMES = 8
_PAN = 4  # px a frame
_MACROBLOCK = 16
_CLIP_CRF = 24  # a good stream, before its losses
_SLICE_TYPES = (1, 5)

_WINDOW = 9  # px, over which smoothness is judged
_SMOOTH = 6.0  # deviation of luma at which an area is no longer smooth


def h264(image: Frame, crf: float, generator: np.random.Generator) -> Frame:
    """A key frame of H.264 by x264 at constant rate factor ``crf`` (0..51)."""
    return _coded(image, "libx264", "h264", crf)


def h265(image: Frame, crf: float, generator: np.random.Generator) -> Frame:
    """A key frame of H.265 by x265 at constant rate factor ``crf`` (0..51)."""
    return _coded(image, "libx265", "hevc", crf)


def rescale(image: Frame, factor: float, generator: np.random.Generator) -> Frame:
    """Down by ``factor`` with a bicubic filter, as a lower rung of a streaming ladder, and up bilinearly."""
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    down = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
    return np.array(down.resize((width, height), Image.Resampling.BILINEAR))


def combing(image: Frame, motion: float, generator: np.random.Generator) -> Frame:
    """Two fields woven to one frame after the scene moved by ``motion`` whole px to one side between them."""
    step = round(motion)
    columns = np.arange(image.shape[1]) + (step if generator.random() < 0.5 else -step)
    woven: Frame = image.copy()
    woven[1::2] = image[1::2][:, np.clip(columns, 0, image.shape[1] - 1)]
    return woven


def banding(image: Frame, step: float, generator: np.random.Generator) -> Frame:
    """Contours in smooth areas: their luma, freed of its grain, on multiples of ``step`` code values."""
    luma = image @ _LUMA
    mean = uniform_filter(luma, _WINDOW)
    variance = uniform_filter(luma * luma, _WINDOW) - mean * mean
    smooth = np.exp(-np.maximum(variance, 0) / _SMOOTH**2)
    change = smooth * (np.rint(mean / step) * step - luma)
    banded: Frame = np.clip(np.rint(image + change[..., None]), 0, 255).astype(np.uint8)
    return banded


def packet_loss(image: Frame, rate: float, generator: np.random.Generator) -> Frame:
    """The last frame of a clip that pans onto the picture, after a share ``rate`` of its slices was lost.

    The clip is H.264 with one slice to two rows of macroblocks; a slice is a NAL unit and is lost with it.
    The first frame arrives whole: without it a decoder shows nothing. FFmpeg conceals the rest.
    """
    rows = -(-image.shape[0] // _MACROBLOCK)
    slices = max(1, rows // 2)
    options = {"crf": str(_CLIP_CRF), "preset": "superfast", "tune": "zerolatency", "slices": str(slices)}
    units = h26x.nal_units(h26x.encode(_panning(image), "libx264", options))
    fate = generator.random(len(units))
    slice_numbers = np.cumsum([h26x.h264_type(unit) in _SLICE_TYPES for unit in units])
    arrived = [
        unit
        for unit, number, luck in zip(units, slice_numbers, fate, strict=True)
        if h26x.h264_type(unit) not in _SLICE_TYPES or number <= slices or luck >= rate
    ]
    return h26x.decode_last(b"".join(arrived), "h264", image)


def _coded(image: Frame, encoder: str, decoder: str, crf: float) -> Frame:
    stream = h26x.encode([image], encoder, {"crf": str(crf), "preset": "superfast"})
    return h26x.decode_last(stream, decoder, image)


def _panning(image: Frame) -> list[Frame]:
    """Frames that move ``_PAN`` px each, the last of which is ``image``."""
    reach = _PAN * (_CLIP_FRAMES - 1)
    width = image.shape[1]
    wide: npt.NDArray[np.uint8] = np.pad(image, ((0, 0), (0, reach), (0, 0)), mode="symmetric")
    return [np.ascontiguousarray(wide[:, at : at + width]) for at in range(reach, -1, -_PAN)]


def _add(
    name: str, title: str, apply: Apply, parameters: _Parameters, unit: str, band: Band, source: str
) -> None:
    register(
        Degradation(
            name=f"video_{name}",
            title=title,
            family="video",
            number=0,
            parameters=parameters,
            parameter_name=unit,
            band=band,
            source=source,
            apply=apply,
        )
    )


_add("h264", "H.264", h264, (22, 28, 34, 40, 46), "CRF", "mixed", "ITU-T H.264; x264's constant rate factor")
_add("h265", "H.265", h265, (24, 30, 36, 42, 48), "CRF", "mixed", "ITU-T H.265; x265's constant rate factor")
_add(
    "rescale",
    "Scaled down and up",
    rescale,
    (1.25, 1.6, 2, 2.7, 4),
    "factor",
    "low",
    "rungs of adaptive streaming",
)
_add(
    "combing",
    "Interlace combing",
    combing,
    (1, 2, 4, 8, 16),
    "motion, px a field",
    "high",
    "field order of ITU-R BT.601",
)
_add("banding", "Banding", banding, (6, 10, 16, 26, 42), "step of luma", "low", "luma coding of ITU-R BT.601")
_add(
    "packet_loss",
    "Packet loss",
    packet_loss,
    (0.01, 0.03, 0.08, 0.16, 0.32),
    "share of slices",
    "mixed",
    "NAL units of ITU-T H.264; concealment by FFmpeg",
)
