"""The targets ``tensorrt`` and ``tensorrt-rtx``: from an accepted ONNX artefact to an engine file.

The engine is built in this machine's cache, or found there, and copied to where it was asked for: the
copy can be archived or compared, the cache is what the backends look into. There it awaits its verdict
under a name that they do not look for; an engine that is refused leaves the cache again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.export.targets import Options, Progress
from crossiqa_edge.export.trt_builder import REVISION, Plan, capabilities_of, compile_plan, profile_of
from crossiqa_edge.export.trt_layers import count
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.engine_file import EngineHeader, EngineKey, pack, read_engine
from crossiqa_edge.runtime.packed_plan import check, compress
from crossiqa_edge.version import __version__


def build(
    source: Artefact, out: Path, options: Options, progress: Progress, *, awaiting: bool = False
) -> Path:
    """Make the engine file ``out`` of ``source`` with TensorRT, for the GPU at hand.

    With ``awaiting``, no backend finds it in the cache until ``record``; else it can be used at once.

    Raises:
        BackendError: TensorRT or a GPU is missing, or the build failed.
        ConfigError: an option that this GPU or library cannot fulfil.
        ArtefactError: the parser refuses the graph.
        OutputError: the cache or ``out`` is not writable.
    """
    devices.installed_version("tensorrt")
    here = devices.device()
    if here is None:
        raise BackendError(
            "TensorRT builds for the GPU at hand, and there is none; --to tensorrt-rtx builds without one, "
            "`crossiqa bundle` prepares the build for another machine"
        )
    return _build("tensorrt", source, out, options, (here.capability,), progress, awaiting)


def build_rtx(
    source: Artefact, out: Path, options: Options, progress: Progress, *, awaiting: bool = False
) -> Path:
    """The same with TensorRT for RTX, which also builds without a GPU, for several architectures at once.

    Raises:
        As ``build``, except that no GPU is needed.
    """
    capabilities = capabilities_of(options, source.card.precision)
    options = replace(options, compute_capabilities=capabilities)
    return _build("tensorrt-rtx", source, out, options, capabilities, progress, awaiting)


def record(built: Path, acceptance: Mapping[str, Any]) -> None:
    """Put the verdict on the engine file ``built`` into its card, and the engine where the backends find it.

    One that cannot run here has none, ``{}``, but for what was found of it before.

    Raises:
        ArtefactError: it is not an engine that was built here.
        OutputError: it or the cache cannot be written.
    """
    header, packed = read_engine(built)
    card = replace(header.card, acceptance=acceptance or header.card.acceptance)
    data = pack(replace(header, card=card), packed)
    _write(built, data)
    engine_cache.keep(header.key, data)


def discard(built: Path, *, refused: bool) -> None:
    """Take the engine of which ``built`` is the copy out of the cache.

    One that was accepted before stays there unless it is ``refused`` now.

    Raises:
        OutputError: the cache is not writable.
    """
    with suppress(ArtefactError):  # no engine any more; what the cache has of it, nobody finds
        header, _ = read_engine(built)
        if refused:
            engine_cache.forget(header.key, header.plan_sha256)
        else:
            engine_cache.forget_awaiting(header.key)


def engine_key(runtime: str, source: Artefact, options: Options, capabilities: tuple[int, ...]) -> EngineKey:
    """What the engine of ``source`` under ``options`` must be; see ``EngineKey``.

    Raises:
        BackendError: the runtime is not installed.
    """
    # TensorRT for RTX compiles ahead of time and times nothing: its plans belong to an architecture.
    here = devices.device() if runtime == "tensorrt" else None
    return EngineKey(
        onnx_sha256=source.sha256,
        runtime=runtime,
        runtime_version=devices.installed_version(runtime),
        capabilities=capabilities,
        device=here.name if here else "",
        platform=devices.platform_name(),
        profile=profile_of(options),
        precision=source.card.precision,
        recipe=_recipe(options),
        toolkit=__version__,
    )


def _recipe(options: Options) -> str:
    asked = {"revision": REVISION, **asdict(options)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _build(
    runtime: str,
    source: Artefact,
    out: Path,
    options: Options,
    capabilities: tuple[int, ...],
    progress: Progress,
    awaiting: bool,
) -> Path:
    key = engine_key(runtime, source, options, capabilities)

    def engine() -> bytes:
        check()
        known = engine_cache.timings(runtime)
        plan = compile_plan(runtime, source.read(), options, progress, where=str(source.path), timings=known)
        if plan.timings:
            engine_cache.keep_timings(runtime, plan.timings)
        progress("packing")
        packed = compress(plan.data)
        return pack(_header(key, source, options, plan, packed), packed)

    cached = engine_cache.obtain(
        key, engine, awaiting=awaiting, waiting=lambda: progress("waiting for another build")
    )
    try:
        _write(out, cached.read_bytes())
    except BaseException:  # an interrupt included: nobody will judge it
        engine_cache.forget_awaiting(key)
        raise
    return out


def _write(path: Path, data: bytes) -> None:
    with atomic_write(path) as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(data)


def _header(key: EngineKey, source: Artefact, options: Options, plan: Plan, packed: bytes) -> EngineHeader:
    return EngineHeader(
        key=key,
        card=replace(source.card, acceptance={}),  # that verdict is the graph's; `record` adds the engine's
        plan_sha256=hashlib.sha256(packed).hexdigest(),
        packed_size=len(packed),
        plan_size=len(plan.data),
        stripped=options.strip_weights,
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        layers=count(plan.layers),
    )
