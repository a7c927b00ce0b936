"""Other people's metrics as functions of a frame, through the packages that they come in.

Classical metrics give worse pictures higher figures; their sign is turned here, so that higher is better
everywhere.

- BRISQUE: Mittal, Moorthy and Bovik, IEEE TIP 2012; package ``brisque``, with a model trained on LIVE.
- NIQE: Mittal, Soundararajan and Bovik, IEEE SPL 2013; package ``basicsr``, with the parameters that the
  authors released. (``scikit-video`` up to 1.1.11 has a NIQE too, whose figures are not the authors'.)
- PIQE: Venkatanath et al., NCC 2015; package ``pypiqe``.
- The networks of ``pyiqa``, by the names that they have there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.sampling import Frame

Metric = Callable[[Frame], float]  # uint8 (H, W, 3) RGB -> a figure, higher is better


def brisque() -> Metric:
    """BRISQUE of the package ``brisque``."""
    from brisque import BRISQUE

    model = BRISQUE(url=False)
    scale = model.scale_features
    # Its features are arrays of one element each, which today's NumPy no longer takes for numbers.
    model.scale_features = lambda features: scale([np.ravel(feature)[0] for feature in features])
    return lambda frame: -float(model.score(frame))


def piqe() -> Metric:
    """PIQE of the package ``pypiqe``."""
    from pypiqe import piqe as score

    return lambda frame: -float(score(frame)[0])


def niqe() -> Metric:
    """NIQE of the package ``basicsr``, which takes BGR."""
    with _without_its_front_door("basicsr"):
        score = import_module("basicsr.metrics.niqe").calculate_niqe
    return lambda frame: -float(score(frame[..., ::-1], crop_border=0))


def pyiqa_network(name: str) -> Metric:
    """The no-reference metric ``name`` of ``pyiqa``, which fetches its weights itself where it lacks them.

    Raises:
        ConfigError: pyiqa has no such metric, or one that needs a reference.
    """
    import pyiqa
    import torch

    if name not in pyiqa.list_models(metric_mode="NR"):
        raise ConfigError(f"pyiqa has no metric {name!r} without a reference; see: pyiqa --list-models")
    metric = pyiqa.create_metric(name)
    sign = -1.0 if metric.lower_better else 1.0

    def score(frame: Frame) -> float:
        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            return sign * float(metric(picture))

    return score


@contextmanager
def _without_its_front_door(package: str) -> Iterator[None]:
    """Inside, modules of ``package`` are imported without running its ``__init__``.

    That of ``basicsr`` imports all its training code, which today's torchvision no longer fits.
    """
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"no package {package}")
    before = set(sys.modules)
    bare = ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules[package] = bare
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] == package:
                del sys.modules[name]
