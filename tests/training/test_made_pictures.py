"""Made pictures are cached under ``pictures.VERSION``: it must rise whenever degradations make others.

``python tests/training/test_made_pictures.py`` stores what they make today, under today's version.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from crossiqa_edge.data.datasets.population import population, tid_population
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.training.pictures import VERSION

STORED = Path(__file__).with_name("made_pictures.json")
# In levels of 0..255: other processors and libraries round otherwise, and codecs differ a little.
MEANS, STEPS = {"rtol": 0.0, "atol": 0.25}, {"rtol": 0.02, "atol": 0.02}


def statistics(folder):
    """Means of the three colours, and of the steps from a pixel to the next, of one picture a type."""
    Image.fromarray(photo_like(0, 128, 160)).save(folder / "0.png")
    return {
        sample.key: [*_means(sample.load().astype(float))]
        for made in (population, tid_population)
        for sample in made(folder, levels=[4]).samples
    }


def _means(frame):
    yield from frame.mean((0, 1)).round(2).tolist()
    yield round(float(np.abs(np.diff(frame, axis=1)).mean()), 2)


def test_a_change_of_what_is_made_raises_the_version(tmp_path):
    stored, found = json.loads(STORED.read_text()), statistics(tmp_path)
    assert len(found) > 40
    same = stored["means"].keys() == found.keys() and all(
        np.allclose(stored["means"][key][:3], found[key][:3], **MEANS)
        and np.allclose(stored["means"][key][3], found[key][3], **STEPS)
        for key in found
    )
    assert same and stored["version"] == VERSION, (
        "degradations make other pictures than were stored: raise VERSION in training/pictures.py, or caches "
        "will go on giving the old ones; then run this file"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        rows = [f'  "{key}": {means}' for key, means in statistics(Path(scratch)).items()]
    STORED.write_text(f'{{"version": {VERSION}, "means": {{\n' + ",\n".join(rows) + "\n}}\n")
