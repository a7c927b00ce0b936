"""OpenVINO on the CPU: runs our ONNX files as they are, and its own representation (see ``irfile``)."""

from __future__ import annotations

from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime import irfile
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores, check_views, checked_scores
from crossiqa_edge.runtime.openvino_rewrites import rewrite
from crossiqa_edge.runtime.openvino_sizes import FixedSizes
from crossiqa_edge.runtime.ort import raise_interrupt

if TYPE_CHECKING:
    import openvino

_making_the_core = Lock()
_cores: list[openvino.Core] = []  # none or one


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    if artefact.kind not in ("onnx", "openvino"):
        return f"OpenVINO needs a graph, not {artefact.kind}"
    if find_spec("openvino") is None:
        return "OpenVINO is not installed: pip install 'crossiqa-edge[openvino]'"
    return None


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for"
) -> OpenVinoBackend:
    """Compile an artefact for the CPU; ``threads`` is how many one inference may use (default: all cores).

    Raises:
        ArtefactError: OpenVINO does not accept the graph.
        BackendError: OpenVINO cannot work on this machine.
    """
    return OpenVinoBackend(artefact, artefact.read(), threads=threads, reason=reason)


class OpenVinoBackend:
    """A compiled model over ``data``, the bytes of ``artefact``; see ``crossiqa_edge.runtime.backend``.

    One inference at a time, on all threads: OpenVINO's latency hint. Its throughput hint would run several
    at once on fewer threads each, which pays only if as many callers wait.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, artefact: Artefact, data: bytes, *, threads: int | None, reason: str) -> None:
        self.precision = artefact.card.precision
        self.reason = reason
        self._where = str(artefact.path)
        self._side = artefact.card.view_size
        self._network: FixedSizes | None = _compiled(artefact, data, threads)
        self._one_at_a_time = Lock()  # a request holds the tensors of its inference

    @property
    def describe(self) -> str:
        return f"{self.name} {self.device} {self.precision}"

    def infer(self, views: Views) -> Scores:
        check_views(views, self._side)
        with self._one_at_a_time:
            if self._network is None:
                raise BackendError(f"{self._where}: the model was closed; load it again")
            try:
                scores = self._network.infer(views)
            except Exception as error:  # OpenVINO raises RuntimeError and what its plugins throw
                raise BackendError(f"{self._where}: OpenVINO failed: {_one_line(error)}") from error
        return checked_scores(scores, len(views), self._where)

    def close(self) -> None:
        with self._one_at_a_time:
            self._network = None


def shared_core() -> openvino.Core:
    """The one of this process, which is never given back.

    A core that compiles for the CPU sets an alternate stack for signals, and in the end restores what was
    there before. Two that end in the order in which they began leave the freed stack of the first, and the
    next signal, be it Ctrl-C, ends the process with a segmentation fault (seen with OpenVINO 2026.4).
    """
    import openvino

    with _making_the_core:
        if not _cores:
            _cores.append(openvino.Core())
        return _cores[0]


def _compiled(artefact: Artefact, data: bytes, threads: int | None) -> FixedSizes:
    try:
        core = shared_core()
    except Exception as error:  # a broken installation raises ImportError or RuntimeError
        raise_interrupt(error)
        raise BackendError(f"OpenVINO does not start ({_one_line(error)}); install it anew") from error
    try:
        # From bytes, not from the path: what was checked is what is run, and nothing beside it is read.
        parts = irfile.unpack(data, str(artefact.path)) if artefact.kind == "openvino" else (data,)
        model = core.read_model(*parts)
        _check_ports(model, artefact)
        rewrite(model)
        settings, side = _settings(artefact, threads), artefact.card.view_size

        def compiled(size: int) -> openvino.InferRequest:
            fixed = model.clone()
            fixed.reshape([size, side, side, 3])
            return core.compile_model(fixed, "CPU", settings).create_infer_request()

        return FixedSizes(compiled)
    except ArtefactError:
        raise
    except Exception as error:
        where = artefact.path
        raise ArtefactError(f"{where}: OpenVINO does not accept this graph: {_one_line(error)}") from error


def _settings(artefact: Artefact, threads: int | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if artefact.card.precision != "int8":
        # Where the CPU has bfloat16, OpenVINO would compute a float graph in it without saying so, which is
        # coarser than float16. An int8 graph was accepted with its rounding; between its integers OpenVINO
        # may take what is fastest.
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    return settings


def _check_ports(model: openvino.Model, artefact: Artefact) -> None:
    """The file's ports were checked where it is ONNX; in OpenVINO's own form, only OpenVINO can tell them."""
    side = artefact.card.view_size
    wanted = [(["views"], "u8", f"[?,{side},{side},3]"), (["score"], "f32", "[?]")]
    ports = [*model.inputs, *model.outputs]
    given = [
        (sorted(port.get_names()), port.get_element_type().get_type_name(), str(port.get_partial_shape()))
        for port in ports
    ]
    if given != wanted:
        raise ArtefactError(
            f"{artefact.path}: the graph should turn views, uint8 (batch, {side}, {side}, 3), into score, "
            "float32 (batch,); make the file with `crossiqa export`"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
