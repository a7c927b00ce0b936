"""Made corpora for the accuracy page's tests: grey pictures, and columns whose figures are known."""

import numpy as np

from crossiqa_edge.bench.accuracy_columns import Column
from crossiqa_edge.bench.accuracy_sets import Corpus, Pictures
from crossiqa_edge.data.datasets.base import QualitySet, Sample

KINDS = {"tid_gaussian_blur": "low", "tid_jpeg": "high"}


def grey(value):
    return np.full((32, 32, 3), value, np.uint8)


def pictures(name, references=4, kinds=KINDS, original=True):
    """Darker and thought worse with every level, a little differently from picture to picture."""
    samples = tuple(
        Sample(
            key=f"{name}:{reference}:{kind}:{level}",
            score=0.9 - 0.15 * level + 0.01 * reference,
            reference=f"reference {reference}",
            load=lambda level=level, reference=reference: grey(200 - 30 * level + 2 * reference),
            distortion=kind,
            level=level,
            band=band,
        )
        for reference in range(references)
        for kind, band in kinds.items()
        for level in range(1, 6)
    )
    quality_set = QualitySet(name, samples, (0.0, 1.0))
    return Pictures(quality_set, "pixels", _original if original else None)


def _original(item):
    return grey(200 + 2 * int(item.reference.split()[1]))


def corpus(key="tid", **changes):
    return Corpus(key, pictures(f"{key} to learn from", **changes), pictures(f"{key} judged", **changes))


def brightness(shown):
    return np.array([float(item.load().mean()) for item in shown.quality_set.samples])


def column(name="nano fp32", role="model", digest="abc", run=brightness):
    return Column(name, role, digest, run)
