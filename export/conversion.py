"""From a model to an artefact for a target: planned or refused first, then made, accepted, and named last."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError, MissingDependencyError
from crossiqa_edge.export.acceptance import Acceptance
from crossiqa_edge.export.attention_nodes import with_nodes
from crossiqa_edge.export.building import build_accepted, check_builder
from crossiqa_edge.export.calibration import scores
from crossiqa_edge.export.graph import OPSET, OPSETS
from crossiqa_edge.export.half import to_half
from crossiqa_edge.export.original import named_original, open_original, shipped_original, weights_beside
from crossiqa_edge.export.overwriting import refuse_overwriting
from crossiqa_edge.export.probe import calibration_views
from crossiqa_edge.export.quantise import Calibration, Quantiser
from crossiqa_edge.export.refusals import refuse
from crossiqa_edge.export.sensitivity import Search, check_limit, search
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.export.targets import Options, Progress, Target, check, target
from crossiqa_edge.export.workplace import moved, workplace
from crossiqa_edge.export.writing import write_accepted
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import locate

try:
    import onnx
except ImportError as error:
    raise MissingDependencyError("exporting", "export") from error

PLUGIN_TARGETS = ("onnx", "tensorrt")  # the latter alone can have the plugin; the former is its input


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the ONNX graph is made.

    Attributes:
        precision: one of ``targets.PRECISIONS``.
        opset: one of ``graph.OPSETS``; None for that of the graph to start from, else ``graph.OPSET``.
        calibration: of an int8 graph; None for the default one.
        search_limit: loss of rank correlation that a search for int8 layers may cost; None for no search.
        plugin: ``attention`` to make attention one node, which TensorRT's plugin computes; None for none.
    """

    precision: str = "fp32"
    opset: int | None = None
    calibration: Calibration | None = None
    search_limit: float | None = None
    plugin: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done; ``plan`` makes it, ``convert`` does it.

    Attributes:
        source: what is exported.
        original: the float32 model that all is compared with; None where a source in less precision has
            none that is known, and is all there is to compare with.
        target, recipe, options, output: as ``plan`` was given them.
    """

    source: Artefact
    original: Artefact | None
    target: Target
    recipe: Recipe
    options: Options
    output: Path

    @property
    def place(self) -> Path:
        """Where the output lies: a link of its name is followed, and stays."""
        return Path(os.path.realpath(self.output))

    @property
    def graph_output(self) -> Path:
        """Where the ONNX file goes: it is the export, or lies beside an engine that is rebuilt from it."""
        if not self.target.builder:
            return self.output
        engine = self.place if self.output.is_symlink() else self.output
        return engine.with_name(engine.name.removesuffix(self.target.suffix) + ".onnx")

    @property
    def opset(self) -> int:
        """Of the graph that is made, or taken as it is."""
        own = self.source.card.opset if self.source.kind == "onnx" else None
        return self.recipe.opset or own or OPSET

    @property
    def makes_graph(self) -> bool:
        """Whether a graph is made; if not, the target's builder takes the source as it is."""
        changed = self.recipe.precision != self.source.card.precision or self.recipe.plugin is not None
        return changed or self.source.kind != "onnx"

    @property
    def steps(self) -> tuple[str, ...]:
        """What ``convert`` will do, in words."""
        precision, told = self.recipe.precision, []
        if self.source.kind == "safetensors":
            told.append(f"write the network as an ONNX graph of opset {self.opset}, compare it")
        if precision != self.source.card.precision:
            told.append(f"make it {precision}, accept it against the float32 graph")
        if self.recipe.search_limit is not None:
            told.insert(-1, f"search the layers that int8 costs at most {self.recipe.search_limit:g} of SRCC")
        if self.recipe.plugin:
            told.append("make attention a node for a plugin, accept it again")
        if self.target.builder:
            with_what = "" if self.original else f" with the {self.source.card.precision} source alone"
            told.append(f"build {self.target.title}, compare it{with_what} where it can run")
        return (*told, f"write {self.output}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was made.

    Attributes:
        path: the file or folder.
        card: of its graph.
        kept: see ``graph``; None where no ONNX file is left.
        acceptance: of the graph; None where an accepted graph was built from as it was.
        built: of what the target's builder made; a text says why it was not compared here.
        search: the table of layers, where one was asked for.
    """

    path: Path
    card: ModelCard
    kept: Artefact | None
    acceptance: Acceptance | None
    built: Acceptance | str | None = None
    search: Search | None = None

    @property
    def graph(self) -> Artefact:
        """The ONNX artefact that it is, has inside, or was built from and lies beside it.

        Raises:
            ConfigError: it was built from one that was made for this alone, and is gone.
        """
        if self.kept is None:
            raise ConfigError(f"{self.path}: its ONNX graph was not kept; export it with --to onnx")
        return self.kept


def plan(
    model: str | os.PathLike[str],
    to: str = "onnx",
    output: str | os.PathLike[str] | None = None,
    *,
    recipe: Recipe | None = None,
    options: Options | None = None,
    reference: str | os.PathLike[str] | None = None,
) -> Plan:
    """Check everything that can be known before work starts.

    Args:
        model: a shipped name, safetensors weights, or an ONNX file of ours.
        to: a key of ``targets.TARGETS``.
        output: the file or folder to make; None for a name made of the model's, precision and target.
        recipe: how the graph is made; None for float32.
        options: for the target's builder.
        reference: the float32 model to compare with, a shipped name or a file; None for ``model`` itself
            where it is float32, else for the shipped model of the same weights.

    Raises:
        ArtefactError: no such model, a damaged one, or a ``reference`` of other weights.
        ConfigError: a combination that makes no sense, with the nearest that does; or an output that would
            take the place of something else.
        OutputError: the output's folder is missing or not writable.
        BackendError, MissingDependencyError: what the work needs is not on this machine.
    """
    recipe, options, row = recipe or Recipe(), options or Options(), target(to)
    check(row, recipe.precision, options)
    if recipe.opset not in (None, *OPSETS):
        raise ConfigError(f"opset {recipe.opset}; choose from {', '.join(map(str, OPSETS))}")
    if recipe.search_limit is not None and recipe.precision != "int8":
        raise ConfigError(f"--search finds int8 layers; with --precision {recipe.precision} there are none")
    if recipe.search_limit is not None:
        check_limit(recipe.search_limit)
    if recipe.plugin and row.name not in PLUGIN_TARGETS:
        raise ConfigError(f"--plugin is for TensorRT; use it with --to {' or '.join(PLUGIN_TARGETS)}")
    given = locate(model)
    source = _source(given, row, recipe)
    made = Path(output) if output is not None else _default(Path(model), row, recipe.precision)
    planned = Plan(source, _original(source, reference), row, recipe, options, made)
    refuse(planned)
    refuse_overwriting(planned, given)
    _require_libraries(planned)
    return planned


def convert(plan: Plan, progress: Progress) -> Outcome:
    """Make what ``plan`` says. Everything is made beside the output, and takes its name once accepted.

    Raises:
        ArtefactError: not accepted; nothing is left, in the cache of engines neither.
        BackendError: the target's builder failed.
        MissingDependencyError: an optional library is absent.
        OutputError: the output's folder is missing or not writable.
    """
    with workplace(plan.place.parent, plan.output) as place:
        single, acceptance = _single(plan, place, progress)
        # of weights that were just written as a graph, the graph: it was accepted, and scores faster
        original = single if plan.original is None or plan.original == plan.source else plan.original
        against, reference = original.card.precision, open_original(original).infer
        graph, found = single, None
        if plan.recipe.precision != single.card.precision:
            model, card, found = _in_precision(plan.recipe, single, progress)
            progress("comparing")
            graph, acceptance = write_accepted(model, card, reference, place / "graph.onnx")
        if plan.recipe.plugin:
            model, path = with_nodes(onnx.load_from_string(graph.read())), place / "plugin.onnx"
            graph, acceptance = write_accepted(model, graph.card, reference, path, against=against)
        if not plan.target.builder:
            graph = moved(graph, plan.output)
            return Outcome(plan.output, graph.card, graph, acceptance, None, found)
        made = place / plan.output.name
        built, verdict = build_accepted(
            *(graph, plan.target, made, plan.options, progress), reference=reference, against=against
        )
        kept = None if plan.makes_graph else graph
        if plan.makes_graph and plan.target.keeps_graph:
            kept = moved(graph, plan.graph_output)
        made.replace(plan.place)
        if built != made:  # a graph in the folder that was made
            kept = Artefact.open(plan.output / built.relative_to(made))
        return Outcome(plan.output, graph.card, kept, acceptance, verdict, found)


def _source(path: Path, row: Target, recipe: Recipe) -> Artefact:
    """The file to start from: an ONNX graph as it is where it serves, else the weights beside it."""
    artefact = Artefact.open(path)
    if artefact.kind == "safetensors":
        return artefact
    if artefact.kind != "onnx":
        raise ConfigError(f"{path}: built for one runtime; export from the ONNX file or the weights")
    card = artefact.card
    if row.builder and card.precision == recipe.precision:
        return artefact
    if card.precision != "fp32":
        same = row.builder and card.precision in row.precisions
        kept = f"use --precision {card.precision}, or " if same else ""
        raise ConfigError(f"{path}: already {card.precision}; {kept}give the float32 graph or the weights")
    if recipe.precision != "fp32" and recipe.opset in (None, card.opset):
        return artefact
    weights = weights_beside(artefact)
    if weights is None:
        raise ConfigError(
            f"{path}: is a float32 graph of opset {card.opset} already; give the weights instead that it was "
            f"made of ({card.identity}), which do not lie beside it"
        )
    return weights


def _require_libraries(plan: Plan) -> None:
    """Load what the work will need: that it is missing should not be noticed after minutes of it."""
    if plan.target.builder:
        check_builder(plan.target)
    if "safetensors" in (plan.source.kind, plan.original.kind if plan.original else None):
        import_module("crossiqa_edge.export.onnx")


def _original(source: Artefact, reference: str | os.PathLike[str] | None) -> Artefact | None:
    if reference is not None:
        return named_original(reference, source)
    return source if source.card.precision == "fp32" else shipped_original(source.card)


def _default(model: Path, row: Target, precision: str) -> Path:
    """Beside the user's file, or in the current folder for a shipped model."""
    stem = model.stem + ("" if precision == "fp32" or model.stem.endswith(precision) else f"-{precision}")
    return model.with_name(stem + (row.suffix or f"-{row.name}"))


def _single(plan: Plan, place: Path, progress: Progress) -> tuple[Artefact, Acceptance | None]:
    """The graph to start from: a float32 one, or a source that is in the precision wanted already."""
    if plan.source.kind == "onnx":
        return plan.source, None
    from crossiqa_edge.export.onnx import export_onnx  # which needs torch
    from crossiqa_edge.model.checkpoint import load

    progress("writing the graph")
    return export_onnx(*load(plan.source.path), place / "single.onnx", opset=plan.opset)


def _in_precision(
    recipe: Recipe, single: Artefact, progress: Progress
) -> tuple[onnx.ModelProto, ModelCard, Search | None]:
    """The graph of ``single`` in the recipe's precision, and its card; of an int8 graph, the search."""
    # What was measured against human opinion is the float32 file's. How near this one comes to it, the
    # acceptance will say.
    surgery, card = Surgery.open(single), replace(single.card, precision=recipe.precision, accuracy={})
    if recipe.precision == "fp16":
        return to_half(surgery), card, None
    progress("calibrating")
    views = calibration_views(card)
    quantiser, found = Quantiser(surgery, views, recipe.calibration or Calibration()), None
    layers = quantiser.default_layers()
    if recipe.search_limit is not None:
        found = search(quantiser, scores, views, recipe.search_limit, progress)
        layers = found.chosen
    facts = quantiser.facts(layers)
    if found is not None:
        facts["search"] = found.to_dict()
    return quantiser.quantised(layers), replace(card, quantisation=facts), found
