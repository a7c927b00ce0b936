"""From a model to an artefact for a target: planned or refused first, then made, accepted, and named last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError, MissingDependencyError, OutputError
from crossiqa_edge.export.acceptance import Acceptance
from crossiqa_edge.export.attention_nodes import with_nodes
from crossiqa_edge.export.building import build_accepted
from crossiqa_edge.export.calibration import scores
from crossiqa_edge.export.graph import OPSET, OPSETS
from crossiqa_edge.export.half import to_half
from crossiqa_edge.export.original import named_original, open_original, shipped_original
from crossiqa_edge.export.probe import calibration_views
from crossiqa_edge.export.quantise import Calibration, Quantiser
from crossiqa_edge.export.refusals import refuse
from crossiqa_edge.export.sensitivity import Search, search
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.export.targets import Options, Progress, Target, check, target
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
        opset: one of ``graph.OPSETS``.
        calibration: of an int8 graph.
        search_limit: loss of rank correlation that a search for int8 layers may cost; None for no search.
        plugin: ``attention`` to make attention one node, which TensorRT's plugin computes; None for none.
    """

    precision: str = "fp32"
    opset: int = OPSET
    calibration: Calibration = field(default_factory=Calibration)
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
    def graph_output(self) -> Path:
        """Where the ONNX file goes: it is the export, or lies beside an engine that is rebuilt from it."""
        if not self.target.builder:
            return self.output
        return self.output.with_name(self.output.name.removesuffix(self.target.suffix) + ".onnx")

    @property
    def steps(self) -> tuple[str, ...]:
        """What ``convert`` will do, in words."""
        precision, told = self.recipe.precision, []
        if self.source.kind == "safetensors":
            told.append(f"write the network as an ONNX graph of opset {self.recipe.opset}, compare it")
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
        graph: the ONNX artefact that it is, or was built from.
        acceptance: of the graph; None where an accepted graph was built from as it was.
        built: of what the target's builder made; a text says why it was not compared here.
        search: the table of layers, where one was asked for.
    """

    path: Path
    graph: Artefact
    acceptance: Acceptance | None
    built: Acceptance | str | None = None
    search: Search | None = None


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
        ConfigError: a combination that makes no sense, with the nearest that does; or an output that exists
            as something else.
    """
    recipe, options, row = recipe or Recipe(), options or Options(), target(to)
    check(row, recipe.precision, options)
    if recipe.opset not in OPSETS:
        raise ConfigError(f"opset {recipe.opset}; choose from {', '.join(map(str, OPSETS))}")
    if recipe.search_limit is not None and recipe.precision != "int8":
        raise ConfigError(f"--search finds int8 layers; with --precision {recipe.precision} there are none")
    if recipe.plugin and row.name not in PLUGIN_TARGETS:
        raise ConfigError(f"--plugin is for TensorRT; use it with --to {' or '.join(PLUGIN_TARGETS)}")
    source = _source(locate(model), row, recipe)
    named = Path(model)
    made = Path(output) if output is not None else _default(named, row, recipe.precision)
    if made.resolve() == source.path.resolve():
        raise ConfigError(f"{made}: this would overwrite the model; give another name with -o")
    if made.is_dir() or (made.exists() and not row.suffix):
        raise ConfigError(f"{made}: exists; give another name with -o, or remove it")
    planned = Plan(source, _original(source, reference), row, recipe, options, made)
    refuse(planned)
    return planned


def convert(plan: Plan, progress: Progress) -> Outcome:
    """Make what ``plan`` says. Everything is made beside the output, and takes its name once accepted.

    Raises:
        ArtefactError: not accepted; nothing is left, in the cache of engines neither.
        BackendError: the target's builder failed.
        MissingDependencyError: an optional library is absent.
        OutputError: the output's folder is missing or not writable.
    """
    with _workplace(plan.output) as place:
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
            return Outcome(plan.output, _moved(graph, plan.output), acceptance, None, found)
        made = place / plan.output.name
        verdict = build_accepted(
            *(graph, plan.target, made, plan.options, progress), reference=reference, against=against
        )
        if plan.target.keeps_graph and graph.path.parent == place:
            graph = _moved(graph, plan.graph_output)
        made.replace(plan.output)
        return Outcome(plan.output, graph, acceptance, verdict, found)


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
        raise ConfigError(f"{path}: already {card.precision}; give the float32 graph or the weights instead")
    if recipe.precision != "fp32" and card.opset == recipe.opset:
        return artefact
    weights = path.with_suffix(".safetensors")
    if not weights.is_file():
        raise ConfigError(
            f"{path}: is a float32 graph of opset {card.opset} already; give the weights instead"
        )
    return Artefact.open(weights)


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
    from crossiqa_edge.export.onnx import export_onnx  # first: it says which extra is missing
    from crossiqa_edge.model.checkpoint import load

    progress("writing the graph")
    return export_onnx(*load(plan.source.path), place / "single.onnx", opset=plan.recipe.opset)


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
    quantiser, found = Quantiser(surgery, views, recipe.calibration), None
    layers = quantiser.default_layers()
    if recipe.search_limit is not None:
        found = search(quantiser, scores, views, recipe.search_limit, progress)
        layers = found.chosen
    facts = quantiser.facts(layers)
    if found is not None:
        facts["search"] = found.to_dict()
    return quantiser.quantised(layers), replace(card, quantisation=facts), found


@contextmanager
def _workplace(output: Path) -> Iterator[Path]:
    """A folder beside ``output``, for the user alone, that is gone afterwards."""
    try:
        with TemporaryDirectory(prefix=".crossiqa-export-", dir=output.resolve().parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise OutputError(f"{output}: cannot write here ({error.strerror}); choose another path") from error


def _moved(graph: Artefact, path: Path) -> Artefact:
    """``graph`` under the name ``path``, following a link there."""
    target = path.resolve()
    graph.path.replace(target)
    return replace(graph, path=path)
