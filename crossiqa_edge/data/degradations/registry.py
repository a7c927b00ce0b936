"""The one registry of degradations: what exists, at which levels, and where the figures come from."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.sampling import Frame

Band = Literal["low", "high", "mixed"]
Apply = Callable[[Frame, float, np.random.Generator], Frame]

LEVELS = 5


@dataclass(frozen=True, slots=True)
class Degradation:
    """One kind of degradation at five levels of growing severity.

    Attributes:
        name: unique, lower case with underscores; KADID-10k's types are bare (``jpeg``), those of
            TID2013 and of video carry a prefix (``tid_jpeg``, ``video_h264``).
        title: how people call it.
        family: ``kadid10k``, ``tid2013`` or ``video``.
        number: the type's number in its publication; 0 where there is none.
        parameters: the parameter at level 1..5, in order of severity.
        parameter_name: what the parameter is, with its unit.
        published_levels: the publication's level number of each of ours; not 1..5 only where the
            publication's levels run from one side of the unchanged picture to the other.
        band: where the harm lies: ``low`` (blur, colour, brightness), ``high`` (blocking, ringing,
            noise) or ``mixed``.
        measure: the full-reference measure that falls strictly with the level (``psnr`` unless blind).
        source: publication or document of the parameters.
        apply: (picture uint8 (H, W, 3), parameter, generator) -> picture of the same shape and dtype.
    """

    name: str
    title: str
    family: Literal["kadid10k", "tid2013", "video"]
    number: int
    parameters: tuple[float, float, float, float, float]
    parameter_name: str
    band: Band
    source: str
    apply: Apply
    published_levels: tuple[int, int, int, int, int] = (1, 2, 3, 4, 5)
    measure: str = "psnr"

    def __call__(self, image: Frame, level: int, seed: int = 0) -> Frame:
        """``image`` degraded at ``level`` (1 mild .. 5 severe); equal arguments give equal pictures.

        Raises:
            InputError: ``image`` is not uint8 (H, W, 3).
            ConfigError: ``level`` is not 1..5.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"a picture is uint8 (H, W, 3), this is {image.dtype} {image.shape}")
        if not 1 <= level <= LEVELS:
            raise ConfigError(f"level {level} is not within 1..{LEVELS}")
        generator = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        result = self.apply(image, self.parameters[level - 1], generator)
        return np.ascontiguousarray(result, dtype=np.uint8)


_REGISTRY: dict[str, Degradation] = {}


def register(degradation: Degradation) -> Degradation:
    """Add a degradation; its name must be new."""
    if degradation.name in _REGISTRY:
        raise ValueError(f"degradation {degradation.name!r} is registered twice")
    _REGISTRY[degradation.name] = degradation
    return degradation


def get(name: str) -> Degradation:
    """The degradation called ``name``; ConfigError with the nearest names where there is none."""
    if name not in _REGISTRY:
        from difflib import get_close_matches

        near = get_close_matches(name, _REGISTRY, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see: crossiqa degrade --list"
        raise ConfigError(f"unknown degradation {name!r}; {hint}")
    return _REGISTRY[name]


def every(family: str | None = None) -> tuple[Degradation, ...]:
    """All degradations, or those of one family, in the order of their publication."""
    return tuple(item for item in _REGISTRY.values() if family in (None, item.family))
