"""Weights on disk: safetensors with the card in the header. Never pickle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, ConfigError
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.version import __version__


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes, dtypes and values, in the order of the names; the file's layout is no part."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_model(model: QualityModel, card: ModelCard, path: str | os.PathLike[str]) -> ModelCard:
    """Write ``model`` and its card; returns the card as written, with hash and package version.

    Raises:
        ArtefactError: ``load`` would refuse the card.
        OutputError: the file cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    card = replace(card, weights_sha256=weights_sha256(state), package_version=__version__)
    ModelCard.from_json(card.to_json(), str(path))  # before a file is written that nobody can load
    data = save(state, metadata={CARD_KEY: card.to_json()})
    with atomic_write(path) as stream:
        stream.write(data)
    return card


def check_name(name: str) -> None:
    """ConfigError where no card can hold ``name``: told before the work, not by ``save_model`` after it."""
    try:
        ModelCard.from_json(ModelCard(name, size="nano").to_json())
    except ArtefactError as error:
        raise ConfigError(
            f"the name {name[:60]!r} cannot be kept with a model; write one line of printable characters"
        ) from error


def load(path: str | os.PathLike[str]) -> tuple[QualityModel, ModelCard]:
    """The model in eval mode, and its card.

    Raises:
        ArtefactError: missing or damaged file, no card, parameters that do not fit the card, or a hash
            that does not match.
    """
    state, metadata = read_tensors(path)
    if CARD_KEY not in metadata:
        raise ArtefactError(f"{path}: no model card inside; use a file that `crossiqa train` wrote")
    card = ModelCard.from_json(metadata[CARD_KEY], str(path))
    model = QualityModel(card)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ArtefactError(f"{path}: the parameters do not fit the card's {card.size!r} model") from error
    if card.weights_sha256 != weights_sha256(state):
        raise ArtefactError(f"{path}: the parameters are not those that the card names; get the file again")
    return model.eval(), card


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of a safetensors file; ArtefactError when it is none."""
    if not Path(path).is_file():
        raise ArtefactError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()  # a safetensors handle cannot be iterated itself
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ArtefactError(
            f"{path}: not a safetensors file, or a damaged one; pickles (.pt, .pth, .bin) are never read"
        ) from error
