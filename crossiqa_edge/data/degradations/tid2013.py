"""The types of TID2013 that can be made again from its reference pictures, as a table.

Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives", Signal Processing:
Image Communication 30 (2015) 57-77. Its five levels aim at a PSNR of 33, 30, 27, 24 and 21 dB: for some types
each picture was brought to it, for others one parameter serves all pictures and only their mean comes near.
Which it was, and the parameter, was found from the PSNR and SSIM that TID2013 publishes for each picture
(docs/degradations.md has the comparison). Mean shift and contrast change turn their sign from level to
level; contrast change falls in PSNR but not in opinion, since levels 2 and 4 raise the contrast.
"""

from __future__ import annotations

from crossiqa_edge.data.degradations import compression
from crossiqa_edge.data.degradations import tid_recipes as recipes
from crossiqa_edge.data.degradations.registry import Apply, Band, Degradation, register

SOURCE = "TID2013 (Ponomarenko et al., Signal Processing: Image Communication 30, 2015)"

_Parameters = tuple[float, float, float, float, float]

_PSNR = "PSNR, dB"
_TARGETS: _Parameters = (33, 30, 27, 24, 21)
_VARIANCES: _Parameters = (32, 64, 130, 260, 520)


def _add(
    number: int, name: str, title: str, apply: Apply, parameters: _Parameters, unit: str, band: Band
) -> None:
    register(
        Degradation(
            name=f"tid_{name}",
            title=title,
            family="tid2013",
            number=number,
            parameters=parameters,
            parameter_name=unit,
            band=band,
            source=SOURCE,
            apply=apply,
        )
    )


_add(1, "white_noise", "Additive Gaussian noise", recipes.white_noise, _VARIANCES, "variance", "high")
_add(
    2,
    "colour_noise",
    "Additive noise, stronger in colour",
    recipes.colour_noise,
    (3.6, 7.2, 14.5, 29, 58),
    "variance of luma",
    "high",
)
_add(
    3,
    "correlated_noise",
    "Spatially correlated noise",
    recipes.correlated_noise,
    _VARIANCES,
    "variance",
    "high",
)
_add(
    5,
    "high_frequency_noise",
    "High-frequency noise",
    recipes.high_frequency_noise,
    (32.5, 65, 205, 650, 2055),  # 33, 30, 25, 20 and 15 dB
    "variance",
    "high",
)
_add(
    6,
    "impulse_noise",
    "Impulse noise",
    recipes.impulse_noise,
    (0.004, 0.0086, 0.0172, 0.0343, 0.0683),
    "share of samples",
    "high",
)
_add(7, "quantization", "Quantization noise", recipes.quantization, (19, 27, 39, 55, 76), "step", "mixed")
_add(8, "gaussian_blur", "Gaussian blur", recipes.gaussian_blur, (0.5, 0.65, 1, 1.7, 4), "sigma, px", "low")
_add(
    9,
    "denoising",
    "Image denoising",
    recipes.denoising,
    (8, 11.5, 19, 36, 85),
    "sigma of the noise removed",
    "mixed",
)
_add(10, "jpeg", "JPEG", compression.jpeg, (80, 60, 23, 8, 4), "quality", "high")
_add(11, "jpeg2000", "JPEG 2000", recipes.jpeg2000, _TARGETS, _PSNR, "mixed")
_add(16, "mean_shift", "Mean shift", recipes.mean_shift, (-6, 10, -20, 30, -40), "shift", "low")
_add(17, "contrast", "Contrast change", recipes.contrast, (0.9, 1.2, 0.75, 1.45, 0.5), "factor", "low")
_add(18, "desaturation", "Change of colour saturation", recipes.desaturation, _TARGETS, _PSNR, "low")
_add(
    19,
    "multiplicative_noise",
    "Multiplicative Gaussian noise",
    recipes.multiplicative_noise,
    _TARGETS,
    _PSNR,
    "high",
)
_add(
    21,
    "compressed_noise",
    "Lossy compression of noisy images",
    recipes.compressed_noise,
    _TARGETS,
    _PSNR,
    "high",
)
_add(
    22,
    "dithered_colours",
    "Colour quantization with dither",
    recipes.dithered_colours,
    _TARGETS,
    _PSNR,
    "mixed",
)
