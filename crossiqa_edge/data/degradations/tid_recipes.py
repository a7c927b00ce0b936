"""How TID2013's distortions are made: one function a type, (picture, parameter, generator) -> picture.

Arithmetic is in code values 0..255. What the publication leaves open was settled by the figures that TID2013
publishes for each of its pictures, PSNR and SSIM (see docs/degradations.md).
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn, idctn
from scipy.ndimage import correlate1d, uniform_filter

from crossiqa_edge.data.degradations.psnr_search import at_psnr
from crossiqa_edge.imaging.sampling import Frame

Values = npt.NDArray[np.float32]

_BLUR_REACH = 5  # a window of 11 x 11 for every sigma
_CHROMA_GAIN = 2.0  # chroma noise has twice the deviation of luma noise
_STEP_PER_SIGMA = 3.0  # of the coder that follows the noise in `compressed_noise`
_THRESHOLD = 2.7  # hard threshold in deviations, usual for DCT denoising
_STRIDE = 4  # between the 8 x 8 windows of the denoiser
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_YCBCR_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
_OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32)
_OPPONENT /= np.linalg.norm(_OPPONENT, axis=1, keepdims=True)  # orthonormal: white noise stays white


def white_noise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """Gaussian noise of ``variance`` on every R, G and B sample."""
    return _noisy(image, _normal(image, generator), variance)


def colour_noise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """Gaussian noise of ``variance`` on luma and of four times that on Cb and Cr."""
    noise = _normal(image, generator)
    noise[..., 1:] *= np.float32(_CHROMA_GAIN)
    return _codes(image + np.float32(np.sqrt(variance)) * (noise @ _YCBCR_TO_RGB.T))


def correlated_noise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """White noise averaged over 3 x 3 pixels, brought to ``variance``."""
    return _noisy(image, uniform_filter(_normal(image, generator), (3, 3, 0)), variance)


def high_frequency_noise(image: Frame, variance: float, generator: np.random.Generator) -> Frame:
    """White noise less its own 3 x 3 average, brought to ``variance``."""
    noise = _normal(image, generator)
    return _noisy(image, noise - uniform_filter(noise, (3, 3, 0)), variance)


def impulse_noise(image: Frame, density: float, generator: np.random.Generator) -> Frame:
    """A share ``density`` of the R, G and B samples takes any value from 0 to 255 instead."""
    hit = generator.random(image.shape, np.float32) < density
    return np.where(hit, generator.integers(0, 256, image.shape, np.uint8), image)


def multiplicative_noise(image: Frame, target: float, generator: np.random.Generator) -> Frame:
    """Gaussian noise on every sample, in proportion to the sample, down to a PSNR of ``target`` dB."""
    noise = _normal(image, generator) * image
    return at_psnr(image, lambda strength: _codes(image + np.float32(2**strength) * noise), target, -9, 2)


def compressed_noise(image: Frame, target: float, generator: np.random.Generator) -> Frame:
    """White noise, then a block DCT coder whose step follows the noise, down to ``target`` dB.

    A JPEG with one step for all frequencies and full chroma takes the place of the coder ADCT.
    """
    noise = _normal(image, generator)

    def render(strength: float) -> Frame:
        sigma = 2.0**strength
        step = min(255, max(1, round(_STEP_PER_SIGMA * sigma)))
        noisy = _codes(image + np.float32(sigma) * noise)
        return _through_pillow(noisy, "JPEG", qtables=[[step] * 64] * 2, subsampling="4:4:4")

    return at_psnr(image, render, target, -1, 7)


def denoising(image: Frame, sigma: float, generator: np.random.Generator) -> Frame:
    """White noise of ``sigma``, then a sliding 8 x 8 DCT with a hard threshold that removes it."""
    noisy = _codes(image + np.float32(sigma) * _normal(image, generator))
    planes = noisy @ _OPPONENT.T
    return _codes(_dct_denoised(planes, _THRESHOLD * sigma) @ _OPPONENT)


def gaussian_blur(image: Frame, sigma: float, generator: np.random.Generator) -> Frame:
    """Gaussian window of 11 x 11 pixels; beyond the border is black, which leaves a dark frame."""
    window = np.exp(-0.5 * (np.arange(-_BLUR_REACH, _BLUR_REACH + 1) / sigma) ** 2)
    window /= window.sum()
    blurred = image.astype(np.float32)
    for axis in (0, 1):
        blurred = correlate1d(blurred, window, axis, mode="constant")
    return _codes(blurred)


def jpeg2000(image: Frame, target: float, generator: np.random.Generator) -> Frame:
    """JPEG 2000 (9/7 wavelet) whose encoder stops at a PSNR of ``target`` dB."""
    resolutions = min(6, min(image.shape[:2]).bit_length())
    return _through_pillow(
        image,
        "JPEG2000",
        no_jp2=True,
        irreversible=True,
        mct=1,
        quality_mode="dB",
        quality_layers=[target + 0.15],  # decoded pictures come out about that much below
        num_resolutions=resolutions,
    )


def quantization(image: Frame, step: float, generator: np.random.Generator) -> Frame:
    """Every R, G and B sample to the nearest multiple of ``step``."""
    table = _codes(np.rint(np.arange(256, dtype=np.float32) / np.float32(step)) * np.float32(step))
    return table[image]


def dithered_colours(image: Frame, target: float, generator: np.random.Generator) -> Frame:
    """As few colours as give ``target`` dB: a palette made for the picture, Floyd-Steinberg dither."""
    picture = Image.fromarray(image)

    def render(strength: float) -> Frame:
        colours = max(2, round(256 * 4.0**-strength))
        palette = picture.quantize(colours, method=Image.Quantize.FASTOCTREE)
        dithered = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        return np.array(dithered.convert("RGB"))

    return at_psnr(image, render, target, 0, 3.5)


def mean_shift(image: Frame, shift: float, generator: np.random.Generator) -> Frame:
    """``shift`` added to every sample."""
    return _codes(image.astype(np.float32) + np.float32(shift))


def contrast(image: Frame, factor: float, generator: np.random.Generator) -> Frame:
    """Every sample's distance from the mean of all samples times ``factor``."""
    mean = np.float32(image.mean())
    return _codes(mean + np.float32(factor) * (image.astype(np.float32) - mean))


def desaturation(image: Frame, target: float, generator: np.random.Generator) -> Frame:
    """Cb and Cr scaled down, below zero if need be, until the PSNR is ``target`` dB; luma stays."""
    chroma = image - (image @ _LUMA)[..., None]
    return at_psnr(image, lambda strength: _codes(image - np.float32(2**strength) * chroma), target, -6, 1)


def _normal(image: Frame, generator: np.random.Generator) -> Values:
    return generator.standard_normal(image.shape, np.float32)


def _noisy(image: Frame, noise: Values, variance: float) -> Frame:
    return _codes(image + noise * np.float32(np.sqrt(variance / np.var(noise, dtype=np.float64))))


def _codes(values: npt.NDArray[np.floating[Any]]) -> Frame:
    codes: Frame = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return codes


def _through_pillow(image: Frame, codec: str, **options: Any) -> Frame:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, codec, **options)
    buffer.seek(0)
    with Image.open(buffer) as picture:
        return np.array(picture.convert("RGB"))


def _dct_denoised(planes: Values, threshold: float) -> Values:
    """(H, W, C): the mean over all windows of 8 x 8, ``_STRIDE`` apart, without their small coefficients."""
    height, width = planes.shape[:2]
    rows, columns = -height % 8, -width % 8
    padded = np.pad(planes, ((8, rows + 8), (8, columns + 8), (0, 0)), mode="symmetric")
    total = np.zeros_like(padded)
    for top in range(0, 8, _STRIDE):
        for left in range(0, 8, _STRIDE):
            view = total[top : top - 8 or None, left : left - 8 or None]
            source = padded[top : top - 8 or None, left : left - 8 or None]
            blocks = source.reshape(source.shape[0] // 8, 8, source.shape[1] // 8, 8, -1)
            spectrum = dctn(blocks, axes=(1, 3), norm="ortho")
            small = np.abs(spectrum) < threshold
            small[:, 0, :, 0] = False
            spectrum[small] = 0
            view += idctn(spectrum, axes=(1, 3), norm="ortho").reshape(source.shape)
    windows = (8 // _STRIDE) ** 2
    return total[8 : 8 + height, 8 : 8 + width] / np.float32(windows)
