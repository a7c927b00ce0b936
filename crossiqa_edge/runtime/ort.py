"""onnxruntime on the CPU: the backend that every installation has."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores, check_views, checked_scores

if TYPE_CHECKING:
    import onnxruntime

PROVIDER = "CPUExecutionProvider"
_FATAL = 4  # onnxruntime's least talkative log level: what goes wrong is raised, not printed


def obstacle(artefact: Artefact) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    if artefact.kind != "onnx":
        return f"onnxruntime needs a graph, not {artefact.kind}"
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed: pip install onnxruntime"
    return None


def open_backend(artefact: Artefact, *, threads: int | None = None, reason: str = "asked for") -> OrtBackend:
    """Load an ONNX artefact; ``threads`` is how many one inference may use (default: all cores).

    Raises:
        ArtefactError: onnxruntime does not accept the graph.
        BackendError: onnxruntime cannot work on this machine.
    """
    # From bytes, not from the path: what was checked is what is run, and nothing beside it is read.
    return OrtBackend(artefact, artefact.read(), threads=threads, reason=reason)


class OrtBackend:
    """A session over ``data``, the bytes of ``artefact``; see ``crossiqa_edge.runtime.backend.Backend``."""

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, artefact: Artefact, data: bytes, *, threads: int | None, reason: str) -> None:
        self.precision = artefact.card.precision
        self.reason = reason
        self._session: onnxruntime.InferenceSession | None = _session(data, str(artefact.path), threads)
        self._size = artefact.card.view_size
        self._where = str(artefact.path)

    @property
    def describe(self) -> str:
        return f"{self.name} {self.device} {self.precision}"

    def infer(self, views: Views) -> Scores:
        check_views(views, self._size)
        session = self._session
        if session is None:
            raise BackendError(f"{self._where}: the model was closed; load it again")
        try:
            (scores,) = session.run(["score"], {"views": views})
        except Exception as error:  # onnxruntime's own exceptions have no base class but this
            raise BackendError(f"{self._where}: onnxruntime failed: {_one_line(error)}") from error
        return checked_scores(scores, len(views), self._where)

    def close(self) -> None:
        self._session = None


def _session(data: bytes, where: str, threads: int | None) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"onnxruntime does not start ({_one_line(error)}); install it anew") from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # The bytes were checked as ONNX: they must not be taken for onnxruntime's own format.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[PROVIDER])
    except Exception as error:  # onnxruntime's own exceptions have no base class but this
        raise ArtefactError(f"{where}: onnxruntime does not accept this graph: {_one_line(error)}") from error
    if session.get_providers() != [PROVIDER]:
        taken = ", ".join(session.get_providers()) or "nothing"
        raise BackendError(f"onnxruntime runs on {taken} instead of {PROVIDER}; install it anew")
    return session


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
