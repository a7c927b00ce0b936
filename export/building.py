"""What a target's builder makes of an accepted graph: judged itself, with its own verdict in its own card.

The module that a target names as its builder has, beside the function that builds,

    record(built: Path, acceptance: Mapping[str, Any]) -> None
        put the verdict into the card of ``built``; ``{}`` where it could not be compared here
    discard(built: Path, *, refused: bool) -> None
        forget what was kept elsewhere: refused, or not judged to the end; absent where nothing is

A builder leaves ``acceptance`` empty in the card: the verdict on the graph is not one on what it became.
One that keeps what it builds elsewhere too takes ``awaiting=True``: to be found there only once recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.acceptance import LIMITS, Acceptance, Infer, accept, require
from crossiqa_edge.export.targets import Options, Progress, Target
from crossiqa_edge.runtime import tensorrt as engines
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend
from crossiqa_edge.runtime.select import obstacles, open_backend


class Discard(Protocol):
    def __call__(self, built: Path, *, refused: bool) -> None: ...


class Builder(NamedTuple):
    """The functions of a target's module; see above."""

    build: Callable[[Artefact, Path, Options, Progress], Path]
    record: Callable[[Path, Mapping[str, Any]], None]
    discard: Discard


def build_accepted(
    graph: Artefact,
    row: Target,
    out: Path,
    options: Options,
    progress: Progress,
    *,
    reference: Infer,
    against: str = "fp32",
) -> tuple[Path, Acceptance | str]:
    """Build ``out`` of ``graph`` and, where it can run here, judge it; what is refused is kept nowhere.

    Args:
        graph: an accepted ONNX artefact.
        row: the target.
        out: the file or folder to make, in a place that is removed if this fails.
        options: for the builder.
        progress: told what is being done.
        reference: scores of the float32 original.
        against: precision of ``reference``, where that is not the original.

    Returns:
        The path from which it can be opened, ``out`` or within it; and the verdict, which is in the card
        too, or why it was not compared here, and the card has none.

    Raises:
        ArtefactError: not accepted; the builder keeps nothing of it.
        BackendError: the builder failed, or what it made does not load or failed while it ran.
    """
    builder = _builder(row)
    built = builder.build(graph, out, options, progress)
    try:
        progress("comparing")
        verdict = _compared(built, graph, row, reference, against)
        if isinstance(verdict, Acceptance):
            require(verdict, f"{graph.card.name} for {row.name}")
        builder.record(built, verdict.to_dict() if isinstance(verdict, Acceptance) else {})
    except BaseException as error:  # an interrupt included
        builder.discard(built, refused=isinstance(error, ArtefactError))
        raise
    return built, verdict


def check_builder(row: Target) -> None:
    """See that the builder of ``row`` can be loaded.

    Raises:
        MissingDependencyError: its library is absent.
    """
    _builder(row)


def _builder(row: Target) -> Builder:
    name, function = row.builder.split(":")
    module = import_module(name)
    build = getattr(module, function)
    if not hasattr(module, "discard"):
        return Builder(build, module.record, lambda built, *, refused: None)
    return Builder(partial(build, awaiting=True), module.record, module.discard)


def _compared(built: Path, graph: Artefact, row: Target, reference: Infer, against: str) -> Acceptance | str:
    """What was built against the original, or why it cannot run here."""
    artefact = Artefact.open(built)
    hindrance = obstacles(artefact)[row.backend]
    if hindrance is not None:
        return hindrance.removeprefix(f"{built}: ")  # a name that it has only until it is moved
    backend = _opened(artefact, graph, row.backend)
    card = graph.card
    limits = LIMITS[row.single if card.precision == "fp32" else card.precision]
    try:
        return accept(backend.infer, reference, card, limits, against=against)
    finally:
        backend.close()


def _opened(built: Artefact, graph: Artefact, name: str) -> Backend:
    """What was built, ready to run. Of a plan without weights the file alone is not enough: users open the
    graph, which would find no engine yet, for this one awaits its verdict.
    """
    if built.kind == "engine":
        return engines.open_backend(built, name=name, graph=graph)
    return open_backend(built, name)
