"""Graphs in other precisions for tests, without the acceptance that a real export ends with."""

from dataclasses import replace

import numpy as np
import onnx

from crossiqa_edge.card import CARD_KEY
from crossiqa_edge.export.half import to_half
from crossiqa_edge.export.quantise import Calibration, Quantiser
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.imaging.testpattern import photo_like


def half_graph(artefact):
    return _bytes(to_half(Surgery.open(artefact)), artefact, "fp16")


def int8_graph(artefact):
    """Calibrated on few views and without smoothing: right in form, good enough in its scores."""
    views = np.concatenate(
        [sample(photo_like(seed, 256, 256), size=artefact.card.view_size) for seed in range(4)]
    )
    quantiser = Quantiser(Surgery.open(artefact), views, Calibration(smoothing=0))
    return _bytes(quantiser.quantised(quantiser.default_layers()), artefact, "int8")


def _bytes(model, artefact, precision):
    card = replace(artefact.card, precision=precision)
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
    return model.SerializeToString()
