"""Recipes: everything that decides what a training run makes, in one small TOML file."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.training.views import TILE

if TYPE_CHECKING:
    from importlib.abc import Traversable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Recipe:
    """What pre-training and fine-tuning have in common.

    Attributes:
        name: recipe name, kept in the card.
        seed: of everything random; two runs of one recipe on one machine give equal weights.
        size, embedding: the network (see ``crossiqa_edge.model.family``).
        view_size: side of the training views in pixels, a multiple of 16.
        batch: items (grids or draws) a step, over all processes.
        steps: optimiser steps.
        steps_per_epoch: steps between two reports (validation, sheet of pictures).
        optimiser: ``adamw``, or ``muon`` for the matrices of transformer blocks and AdamW for the rest.
        learning_rate, weight_decay, warmup_steps: linear warm-up, then cosine decay to zero.
        clip_norm: largest gradient norm.
        ema_decay: decay of the exponential moving average whose weights are kept.
        bsds_test_apart: never train on photographs of BSDS500's test part; fine-tuning holds them out.
        precision: ``auto`` (bfloat16 where the hardware multiplies it natively), ``fp32`` or ``bf16``.
    """

    name: str
    seed: int = 0
    size: str = "nano"
    embedding: str = "multilevel"
    view_size: int = 112
    batch: int = 16
    steps: int = 1000
    steps_per_epoch: int = 250
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    bsds_test_apart: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("batch", "steps", "steps_per_epoch", "view_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"recipe {self.name}: {name} must be positive")
        if self.seed < 0:
            raise ConfigError(f"recipe {self.name}: seed must not be negative")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigError(f"recipe {self.name}: ema_decay is from 0 to below 1")
        if self.view_size % 16:
            raise ConfigError(f"recipe {self.name}: view_size must be a multiple of 16, the patch")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"recipe {self.name}: precision is auto, fp32 or bf16")
        if self.optimiser not in ("adamw", "muon"):
            raise ConfigError(f"recipe {self.name}: optimiser is adamw or muon")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PretrainRecipe(Recipe):
    """Cross reconstruction.

    Attributes:
        pairing: ``cross-content`` (two pictures) or ``same-content`` (the paper's).
        energy_weight: weight of the band energies beside the pixels; 0 is the paper's pixel loss.
        crossed_weight: weight of crossed reconstructions beside straight ones; 0 leaves an autoencoder.
        pristine_share: probability that one of the two degradations is none at all.
    """

    pairing: str = "cross-content"
    energy_weight: float = 0.1
    crossed_weight: float = 1.0
    pristine_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairing not in ("cross-content", "same-content"):
            raise ConfigError(f"recipe {self.name}: pairing is cross-content or same-content")


@dataclass(frozen=True)
class Source:
    """One set in the mix of a fine-tuning.

    Attributes:
        data: catalogue name of the set.
        weight: share of the draws, relative to the other sources.
        hold_out: share of the references kept for validation, chosen by the recipe's seed; 0 where the
            opinions are a teacher's and measure nothing.
        hold_out_references: names of the references kept for validation instead.
        doubles: groups of references that show the same under several names; where one of a group is held
            out, the others are not trained on. Names that the set does not have do nothing.
        name: what results call the set, where the catalogue cannot know (a plain labelled folder).
        place: the name by which ``--data`` says where the set lies; ``data`` where it is empty. Two
            sources that are plain labelled folders need it.

    ``video-order`` are photographs under what video does to frames, and ``part-order`` photographs of which
    some tiles are degraded. Nobody was asked about these levels and parts, so they are ranked within a draw,
    and neither regressed nor held out to measure with.
    """

    data: str
    weight: float = 1.0
    hold_out: float = 0.1
    hold_out_references: tuple[str, ...] = ()
    doubles: tuple[Sequence[str], ...] = ()
    name: str = ""
    place: str = ""

    def __post_init__(self) -> None:
        for name in ("weight", "hold_out"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
                raise ConfigError(f"source {self.data}: {name} is a number from 0 on, not {value!r}")
        if not _names(self.hold_out_references):
            raise ConfigError(f"source {self.data}: hold_out_references are names: ['a.png', 'b.png']")
        if not isinstance(self.doubles, list | tuple) or not all(map(_names, self.doubles)):
            raise ConfigError(f"source {self.data}: doubles are groups of names: [['a.png', 'b.png']]")

    @property
    def ordinal(self) -> bool:
        """Whether its scores are no more than an order within a draw."""
        return self.data in ("video-order", "part-order")


def _names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


@dataclass(frozen=True)
class FinetuneRecipe(Recipe):
    """Regression to human opinion.

    Attributes:
        view_size: as every recipe's; a multiple of ``TILE`` where any view is made of fragments.
        sources: the mix.
        variants: pictures a draw; they share their content where the source can arrange it.
        rank_weight: weight of the pairwise rank loss beside the regression.
        draw_rank_weight: the same, of the pairs within a draw alone, which mostly share their content.
        levels_share: share of population draws that are levels of one type only.
        kind_weight: weight of telling the degradation's type, which only training asks for.
        encoder_rate: learning rate of the encoder relative to the head's.
        fragment_share: share of views that are fragments; the others are whole windows.
        chroma_share: share of views whose chroma is halved, which changes no opinion.
        spread: least side in pixels of the part of a photograph that is degraded at once and that a view's
            fragments are spread over; twice the view's where that is more. The sampler's are spread over the
            whole: in a small part that is smooth by nature nothing tells whether it is blurred.
    """

    view_size: int = 128
    sources: tuple[Source, ...] = ()
    variants: int = 4
    rank_weight: float = 0.5
    draw_rank_weight: float = 0.0
    levels_share: float = 0.0
    kind_weight: float = 0.1
    encoder_rate: float = 1.0
    fragment_share: float = 0.0
    chroma_share: float = 0.0
    spread: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(source.weight for source in self.sources):
            raise ConfigError(f"recipe {self.name}: at least one [[sources]] with a weight is needed")
        if self.variants < 1:
            raise ConfigError(f"recipe {self.name}: variants must be positive")
        if self.view_size % TILE and self._has_fragments:
            lower = self.view_size // TILE * TILE
            near = f"{lower} or {lower + TILE}" if lower else f"{TILE}"
            raise ConfigError(
                f"recipe {self.name}: view_size {self.view_size} cannot be filled with fragments of {TILE} "
                f"pixels; use {near}"
            )

    @property
    def _has_fragments(self) -> bool:
        return self.fragment_share > 0.0 or any(source.data == "part-order" for source in self.sources)


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)
_PACKAGED = files("crossiqa_edge.training") / "recipes"


def packaged_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return packaged_names(_PACKAGED)


def load_recipe(
    kind: type[AnyRecipe], name: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None
) -> AnyRecipe:
    """A packaged recipe by name, or one from a TOML file; ``overrides`` replace single values.

    Raises:
        ConfigError: no such recipe, not TOML, or an unknown or wrong value.
    """
    values = read_toml(_PACKAGED, name, "recipe")
    return build_recipe(kind, {"name": Path(name).stem, **values, **(overrides or {})}, f"recipe {name}")


def packaged_names(folder: Traversable) -> list[str]:
    """The TOML files of a folder in the package, without their ending."""
    names = (item.name for item in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_toml(folder: Traversable, name: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """What ``folder`` of the package has under ``name``, or else the TOML file of that name.

    Raises:
        ConfigError: neither is there, or it is not TOML.
    """
    packaged = folder / f"{name}.toml"
    try:
        return tomllib.loads(packaged.read_text() if packaged.is_file() else Path(name).read_text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{kind} {name}: not TOML ({error})") from error
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(packaged_names(folder))
        raise ConfigError(f"no {kind} {name!r}; packaged ones are {known}, or give a TOML file") from error


def build_recipe(kind: type[AnyRecipe], values: dict[str, Any], where: str) -> AnyRecipe:
    """A recipe from its values, each checked; ``where`` begins what an error says.

    Raises:
        ConfigError: an unknown or wrong value.
    """
    known = {item.name: item for item in fields(kind)}
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}; {hint}")
    if "sources" in values:
        values["sources"] = _sources(values["sources"], where)
    defaults = {key: item.default for key, item in known.items()}
    for key, value in values.items():
        expected = type(defaults[key]) if isinstance(defaults[key], int | float | str) else None
        if expected is float and isinstance(value, int):
            values[key] = float(value)
        elif expected and not isinstance(value, expected):
            raise ConfigError(f"{where}: {key} is a {expected.__name__}, not {value!r}")
    return kind(**values)


def _sources(tables: Any, where: str) -> tuple[Source, ...]:
    if not isinstance(tables, list | tuple) or not all(isinstance(item, Source | dict) for item in tables):
        raise ConfigError(f"{where}: sources are tables, [[sources]] each")
    return tuple(item if isinstance(item, Source) else _source(item, where) for item in tables)


def _source(values: Mapping[str, Any], where: str) -> Source:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return Source(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: a [[sources]] table has data, weight and hold_out ({error})") from error
