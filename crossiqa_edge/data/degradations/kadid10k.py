"""KADID-10k's 25 distortion types at five levels each, as a table.

Lin, Hosu and Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA Database", QoMEX 2019; the
parameters are those of the MATLAB generator that its authors published with KADIS-700k. That generator
stretches every picture to the full range before and after; photographs nearly fill it, so nothing is
stretched here. Two types run from one side of the unchanged picture to the other; they are ordered by
severity, and ``published_levels`` names the publication's level of each.
"""

from __future__ import annotations

from crossiqa_edge.data.degradations import blur, brightness, colour, compression, noise, sharpness, spatial
from crossiqa_edge.data.degradations.registry import Apply, Band, Degradation, register

SOURCE = "KADID-10k (Lin, Hosu, Saupe, QoMEX 2019)"

_Parameters = tuple[float, float, float, float, float]

_TITLES = {
    "jpeg": "JPEG",
    "jpeg2000": "JPEG 2000",
    "white_noise_colour": "White noise in colour components",
    "non_eccentricity_patch": "Non-eccentricity patch",
}

# A level of these is published under another number; see Degradation.published_levels.
_PUBLISHED_LEVELS = {"mean_shift": (3, 2, 4, 1, 5), "contrast_change": (3, 2, 1, 4, 5)}

# Up and down by the same step is the same PSNR, while SSIM tells that darker is worse; and PSNR no longer
# sees how far a channel has moved once that is further than the texture is fine.
_MEASURES = {"mean_shift": "ssim", "colour_shift": "coarse_psnr"}


def _add(number: int, name: str, apply: Apply, parameters: _Parameters, unit: str, band: Band) -> None:
    register(
        Degradation(
            name=name,
            title=_TITLES.get(name, name.replace("_", " ").capitalize()),
            family="kadid10k",
            number=number,
            parameters=parameters,
            parameter_name=unit,
            band=band,
            source=SOURCE,
            apply=apply,
            published_levels=_PUBLISHED_LEVELS.get(name, (1, 2, 3, 4, 5)),
            measure=_MEASURES.get(name, "psnr"),
        )
    )


_add(1, "gaussian_blur", blur.gaussian_blur, (0.1, 0.5, 1, 2, 5), "sigma, px", "low")
_add(2, "lens_blur", blur.lens_blur, (1, 2, 4, 6, 8), "radius, px", "low")
_add(3, "motion_blur", blur.motion_blur, (1, 2, 4, 6, 10), "length, px", "low")
_add(
    4,
    "colour_diffusion",
    colour.colour_diffusion,
    (1, 3, 6, 8, 12),
    "gain, and blur by 1.5 gain + 2 px",
    "low",
)
_add(5, "colour_shift", colour.colour_shift, (1, 3, 6, 8, 12), "shift of green, px", "mixed")
_add(6, "colour_quantization", colour.colour_quantization, (64, 48, 32, 16, 8), "colours", "mixed")
_add(
    7, "colour_saturation_1", colour.colour_saturation_1, (0.4, 0.2, 0.1, 0, -0.4), "factor on HSV's S", "low"
)
_add(8, "colour_saturation_2", colour.colour_saturation_2, (1, 2, 3, 6, 9), "factor on Lab's a and b", "low")
_add(9, "jpeg2000", compression.jpeg2000, (16, 32, 45, 120, 400), "24 / (bit/px)", "mixed")
_add(10, "jpeg", compression.jpeg, (43, 36, 24, 7, 4), "quality", "high")
_add(11, "white_noise", noise.white_noise, (0.001, 0.002, 0.003, 0.005, 0.01), "variance", "high")
_add(
    12,
    "white_noise_colour",
    noise.white_noise_colour,
    (0.0001, 0.0005, 0.001, 0.002, 0.003),
    "variance",
    "high",
)
_add(13, "impulse_noise", noise.impulse_noise, (0.001, 0.005, 0.01, 0.02, 0.03), "share of samples", "high")
_add(
    14,
    "multiplicative_noise",
    noise.multiplicative_noise,
    (0.001, 0.005, 0.01, 0.02, 0.05),
    "variance",
    "high",
)
_add(15, "denoise", noise.denoise, (0.01, 0.03, 0.05, 0.1, 0.15), "variance of the noise removed", "mixed")
_add(16, "brighten", brightness.brighten, (0.1, 0.2, 0.4, 0.7, 1.1), "twice the lift of mid-grey", "low")
_add(17, "darken", brightness.darken, (0.05, 0.1, 0.2, 0.4, 0.8), "twice the drop of mid-grey", "low")
_add(18, "mean_shift", brightness.mean_shift, (0, 0.08, -0.08, 0.15, -0.15), "shift", "low")
_add(19, "jitter", spatial.jitter, (0.05, 0.1, 0.2, 0.5, 1), "deviation of a step, px", "high")
_add(
    20,
    "non_eccentricity_patch",
    spatial.non_eccentricity_patch,
    (20, 40, 60, 80, 100),
    "patches in 512 x 384 px",
    "high",
)
_add(
    21,
    "pixelate",
    spatial.pixelate,
    (0.01, 0.05, 0.1, 0.2, 0.5),
    "strength p of the scale 0.95 - p^0.6",
    "high",
)
_add(22, "quantization", brightness.quantization, (20, 16, 13, 10, 7), "thresholds", "mixed")
_add(23, "colour_block", spatial.colour_block, (2, 4, 6, 8, 10), "blocks in 512 x 384 px", "low")
_add(24, "high_sharpen", sharpness.high_sharpen, (1, 2, 3, 6, 12), "amount", "high")
_add(25, "contrast_change", brightness.contrast_change, (0, 0.15, 0.3, -0.4, -0.6), "amount", "low")
