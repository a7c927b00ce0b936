"""``crossiqa doctor``: what this machine and installation have, what is missing, and whether scoring works.

Nothing heavy is imported to find out: versions come from the installed packages' metadata, and backends say
themselves what hinders them. Only the self-check uses what `crossiqa score` uses, which measures the
backends on first use, and ``--measure`` does that again; whatever goes wrong there is a finding.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import click

import crossiqa_edge
from crossiqa_edge.errors import CrossIQAError
from crossiqa_edge.machine import this_machine
from crossiqa_edge.version import __version__

PACKAGE = "crossiqa-edge"
CORE = ("numpy", "pillow", "onnxruntime", "av", "click", "rich")
OPTIONAL = (
    "torch",
    "triton",
    "timm",
    "onnx",
    "openvino",
    "pillow-heif",
    "tensorrt",
    "tensorrt_rtx",
    "cuda-bindings",
    "starlette",
)
# Builds of onnxruntime that take its place under other names; having two at once breaks both.
ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")

# One condition of a requirement's marker, as our pyproject.toml writes them: joined by "and".
_CONDITION = re.compile(r"""(\w+)\s*(==|<|in)\s*["']([^"']*)["']""")

_CHECK_SIDE = 512  # pixels, of the generated picture


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--measure", is_flag=True, help="Time the backends again; `--backend auto` goes by it from then on."
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="Model for the self-check.  [default: nano; in a bundle, the model that it is of]",
)
def command(as_json: bool, measure: bool, model: str | None) -> int:
    """Report what this machine has, what is missing, and whether scoring works.

    Exit codes: 0 the core works; 2 it does not.
    """
    findings = examine(model or _default_model(), measure=measure)
    click.echo(json.dumps(findings, indent=2) if as_json else _as_text(findings))
    return 0 if findings["ok"] else 2


def examine(model: str = "nano", *, measure: bool = False) -> dict[str, Any]:
    """All findings as JSON-ready values; ``ok`` says whether the core works."""
    core = {name: _version(name) for name in CORE}
    core["onnxruntime"] = next((found for name in ONNXRUNTIMES if (found := _version(name))), None)
    check = _self_check(model, measure)  # first: it measures what `backends` shows
    return {
        "ok": check["ok"] and None not in core.values(),
        "version": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "core": core,
        "optional": {name: _version(name) for name in OPTIONAL},
        "providers": _providers(),
        "machine": asdict(this_machine()),
        "models": _models(),
        "backends": _backends(model),
        "missing_extras": _missing_extras(),
        "self_check": check,
    }


def _default_model() -> str:
    """``nano``; of a bundle, which has no shipped models, the file beside the folder of its package."""
    bundled = Path(crossiqa_edge.__file__).parents[2] / "model.onnx"
    return str(bundled) if not _models() and bundled.is_file() else "nano"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _providers() -> list[str]:
    """Execution providers compiled into onnxruntime; none where it cannot be imported."""
    try:
        import onnxruntime

        return list(onnxruntime.get_available_providers())
    except Exception:  # a broken native library raises what it likes; the self-check tells the story
        return []


def _models() -> list[str]:
    from crossiqa_edge import weights

    return list(weights.available())


def _backends(model: str) -> dict[str, dict[str, Any]]:
    """Backend -> what hinders it with ``model``, and its speed, where it was measured."""
    from crossiqa_edge.runtime import select, speeds
    from crossiqa_edge.runtime.artefact import Artefact
    from crossiqa_edge.runtime.scorer import locate

    try:
        artefact = Artefact.open(locate(model))
        hindrances = select.obstacles(artefact)
        known = speeds.recall(artefact, None)
    except CrossIQAError:  # the self-check says it
        return {}
    findings: dict[str, dict[str, Any]] = {}
    for name, hindrance in hindrances.items():
        speed = known.get(name)
        if name in known and speed is None:
            hindrance = f"it failed when it was measured; try: crossiqa score --backend {name} PHOTO"
        findings[name] = {"obstacle": hindrance, "by_name_only": name in select.ONLY_BY_NAME}
        if speed is not None:
            findings[name].update(opening_ms=speed.opening, view_ms=speed.view)
    return findings


def _missing_extras() -> dict[str, list[str]]:
    """Extra -> its packages that are not installed, of those that are for this system and Python."""
    try:
        requirements = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from a folder, not installed
        return {}
    missing: dict[str, list[str]] = {}
    for requirement in requirements:
        name, _, marker = requirement.partition(";")
        package = re.match(r"[\w.-]+", name)
        conditions = {variable: (sign, value) for variable, sign, value in _CONDITION.findall(marker)}
        _, extra = conditions.pop("extra", ("", ""))
        if extra and package and _version(package[0]) is None and _apply(conditions):
            missing.setdefault(extra, []).append(package[0])
    return missing


def _apply(conditions: dict[str, tuple[str, str]]) -> bool:
    """Whether the markers of a requirement, of the few kinds that this package has, hold here."""
    here = {
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor:02}",
    }

    def holds(variable: str, sign: str, value: str) -> bool:
        if sign == "<":  # 3.9 comes before 3.10
            return here[variable] < re.sub(r"\.(\d)$", r".0\1", value)
        return here[variable] in (value.split() if sign == "in" else [value])

    return all(holds(variable, *condition) for variable, condition in conditions.items())


def _self_check(model: str, measure: bool) -> dict[str, Any]:
    """Load ``model`` and score a generated picture, as `crossiqa score` would."""
    try:
        from crossiqa_edge.imaging.testpattern import photo_like
        from crossiqa_edge.runtime import select
        from crossiqa_edge.runtime.artefact import Artefact
        from crossiqa_edge.runtime.scorer import Scorer, locate

        if measure:
            select.measured(Artefact.open(locate(model)))
        picture = photo_like(0, _CHECK_SIDE, _CHECK_SIDE)
        loading = time.perf_counter()
        with Scorer.load(model, work=1) as scorer:
            loaded = time.perf_counter()
            score = scorer.score(picture)
            done = time.perf_counter()
            return {
                "ok": True,
                "model": score.model,
                "backend": score.backend,
                "reason": scorer.backend.reason,
                "score": round(score.value, 2),
                "load_ms": round(1e3 * (loaded - loading), 1),
                "score_ms": round(1e3 * (done - loaded), 1),
            }
    except Exception as error:  # a doctor reports what is broken, whatever it is
        return {"ok": False, "model": model, "error": f"{type(error).__name__}: {error}"}


def _as_text(findings: dict[str, Any]) -> str:
    sections = [
        ("Installation", _installation(findings)),
        ("Machine", _machine(findings["machine"])),
        ("Models", [("shipped", ", ".join(findings["models"]) or "none found")]),
        (f"Backends for {findings['self_check']['model']}", _backend_rows(findings["backends"])),
        ("Extras", _extras(findings["missing_extras"])),
        ("Self-check", _check_rows(findings["self_check"])),
    ]
    width = max(len(label) for _, rows in sections for label, _ in rows)
    blocks = [
        "\n".join([title, *(f"  {label:<{width}}  {value}" for label, value in rows)])
        for title, rows in sections
    ]
    verdict = "The core works." if findings["ok"] else "The core does not work: see above."
    return "\n\n".join([*blocks, verdict])


def _installation(findings: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [(PACKAGE, findings["version"]), ("Python", findings["python"])]
    rows += [(name, version or "MISSING: pip install " + name) for name, version in findings["core"].items()]
    rows.append(("providers", ", ".join(findings["providers"]) or "none"))
    rows += [(name, version) for name, version in findings["optional"].items() if version]
    return rows


def _machine(machine: dict[str, Any]) -> list[tuple[str, str]]:
    memory = machine["memory_gib"]
    rows = [
        ("system", machine["system"]),
        ("board", machine["board"]),
        ("CPU", f"{machine['cpu']}, {machine['cores']} cores usable"),
        ("instructions", ", ".join(machine["instructions"]) or "unknown"),
        ("memory", f"{memory} GiB" if memory else None),
        ("Jetson", machine["jetson"]),
        *(("GPU", gpu) for gpu in machine["gpus"] or ["none seen (nvidia-smi)"]),
    ]
    return [(label, value) for label, value in rows if value]


def _backend_rows(backends: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    rows = []
    for name, found in backends.items():
        state = found["obstacle"] or ("works, if asked for by name" if found["by_name_only"] else "works")
        if "view_ms" in found:
            state += f", {found['view_ms']:.3g} ms a view, opened in {found['opening_ms']:.0f} ms"
        rows.append((name, state))
    return rows or [("none", "the model cannot be read")]


def _extras(missing: dict[str, list[str]]) -> list[tuple[str, str]]:
    if not missing:
        return [("all", "complete")]
    return [
        (extra, f"pip install '{PACKAGE}[{extra}]'  (lacks {', '.join(names)})")
        for extra, names in missing.items()
    ]


def _check_rows(check: dict[str, Any]) -> list[tuple[str, str]]:
    if not check["ok"]:
        return [("failed", check["error"])]
    return [
        ("model", check["model"]),
        ("backend", f"{check['backend']} ({check['reason']})"),
        ("result", f"score {check['score']} in {check['score_ms']} ms, loaded in {check['load_ms']} ms"),
    ]
