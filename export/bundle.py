"""A bundle: one folder or archive with all that another device needs to score, and to prove that it does.

model.onnx          the graph in its precision, with its card
original.onnx       the float32 graph that it was made of, to verify it against; float32 has itself
trtexec.onnx        the graph as TensorRT is given it, for other builders; only where that is another
card.json           the card again, to be read by people
requirements.txt    pinned packages, without torch
python/             the light part of this package: the device needs no other installation of it
build_engine.py     builds the TensorRT engine on the device
selftest.py         scores the pictures and compares
pictures/           made-up photographs, pristine and degraded
kernels.pack        kernels compiled ahead of time, where a pack was given
bundle.json         stored scores, tolerance, and the hash of every file
README.md           what to run, in which order

Every file is a regular one: a bundle has no links, and its scripts refuse one in place of its files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from crossiqa_edge.atomic import atomic_write, write_text
from crossiqa_edge.data.degradations import get
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.archives import SUFFIXES, write_archive
from crossiqa_edge.export.bundle_checks import check_graph, check_parts
from crossiqa_edge.export.bundle_package import copy_package
from crossiqa_edge.export.bundle_readme import readme
from crossiqa_edge.export.bundle_targets import DeviceKind
from crossiqa_edge.export.original import shipped_original
from crossiqa_edge.export.trt_graph import for_tensorrt
from crossiqa_edge.export.workplace import workplace
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.version import __version__

FORMAT = 1
# Largest difference of a picture's score between two runtimes on the same graph, in points of 0..100.
# TensorRT may round the factors of a float32 product to TF32's ten bits, about what fp16 keeps; int8
# differs where a value lies between two steps. A wrong model is off by tens of points.
TOLERANCE = {"fp32": 0.5, "fp16": 0.5, "int8": 1.5}

_PICTURE_SIDES = (256, 384)  # height, width: a small file, and every fragment lies within
_PICTURES = {"pristine": None, "blur": "gaussian_blur", "jpeg": "jpeg", "noise": "white_noise"}
_LEVEL = 4  # of five: visible, and not at the end of the scale

MODEL, ORIGINAL, TRTEXEC = "model.onnx", "original.onnx", "trtexec.onnx"


def make_bundle(
    source: Artefact,
    kind: DeviceKind,
    out: Path,
    *,
    original: Artefact | None = None,
    kernels: Path | None = None,
) -> Path:
    """Write the bundle ``out`` of an ONNX artefact: a folder, or an archive if its name says so.

    Args:
        source: an accepted artefact in the precision wanted.
        kind: the device it is for.
        out: what does not exist yet; ``.tar.gz`` and ``.zip`` make archives.
        original: the float32 ONNX file that ``source`` was made of; None for the shipped one of the same
            weights, if there is one.
        kernels: a pack of kernels compiled ahead of time for the same model.

    Raises:
        ConfigError: ``source`` is no ONNX file or none that the device's TensorRT takes, or original or
            kernels are another model's.
        ArtefactError: ``source`` or ``kernels`` is damaged.
        OutputError: ``out`` exists or cannot be written.
    """
    if source.kind != "onnx":
        raise ConfigError(f"{source.path}: a bundle is made of an ONNX file; run `crossiqa export` first")
    if source.card.precision not in TOLERANCE:
        raise ConfigError(f"{source.path}: precision {source.card.precision!r} is unknown; export it again")
    check_parts(source, out, original, kernels)
    check_graph(source, kind)
    original = original or shipped_original(source.card)
    with workplace(out.parent, out) as place:
        folder = place / bundle_name(source, kind)
        folder.mkdir()
        _fill(folder, source, kind, original, kernels)
        if out.name.endswith(SUFFIXES):
            write_archive(folder, out)
        else:
            folder.rename(out)
    return out


def bundle_name(source: Artefact, kind: DeviceKind, precision: str | None = None) -> str:
    """What the folder is called unless something else is asked for, such as ``nano-int8-jetson-orin``.

    Args:
        precision: that ``source`` will be exported to first; None for its own.
    """
    return f"{source.card.name}-{precision or source.card.precision}-{kind.name}"


def _fill(
    folder: Path, source: Artefact, kind: DeviceKind, original: Artefact | None, kernels: Path | None
) -> None:
    graph = source.read()
    rewritten = for_tensorrt(graph, str(source.path))
    _write(folder / MODEL, graph)
    if rewritten != graph:
        _write(folder / TRTEXEC, rewritten)
    reference = MODEL if source.card.precision == "fp32" else None
    if reference is None and original is not None:
        reference = ORIGINAL
        _write(folder / ORIGINAL, original.read())
    write_text(folder / "card.json", json.dumps(json.loads(source.card.to_json()), indent=2) + "\n")
    write_text(folder / "requirements.txt", "\n".join(kind.requirements) + "\n")
    page = readme(source, kind, TOLERANCE[source.card.precision], reference, rewritten=rewritten != graph)
    write_text(folder / "README.md", page)
    copy_package(folder / "python" / "crossiqa_edge")
    here = Path(__file__).parent
    shutil.copyfile(here / "device_build.py", folder / "build_engine.py")
    shutil.copyfile(here / "device_selftest.py", folder / "selftest.py")
    if kernels is not None:
        shutil.copyfile(kernels, folder / "kernels.pack")
    _draw_pictures(folder / "pictures")
    _seal(folder, source, kind)


def _write(path: Path, data: bytes) -> None:
    with atomic_write(path) as stream:
        stream.write(data)


def _draw_pictures(folder: Path) -> None:
    """As PNG, whose decoding is the same everywhere."""
    folder.mkdir()
    photo = photo_like(0, *_PICTURE_SIDES)
    for name, degradation in _PICTURES.items():
        picture = photo if degradation is None else get(degradation)(photo, _LEVEL, 0)
        Image.fromarray(picture).save(folder / f"{name}.png", optimize=True)


def _seal(folder: Path, source: Artefact, kind: DeviceKind) -> None:
    """Score the pictures with what will be run, and write down scores and hashes."""
    with Scorer.load(folder / MODEL, backend="onnxruntime") as scorer:
        scores = [
            {"picture": f"pictures/{path.name}", "score": round(scorer.score(path).value, 4)}
            for path in sorted((folder / "pictures").iterdir())
        ]
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "target": kind.name,
        "software": kind.software,
        "tensorrt": kind.tensorrt,
        "model": source.card.identity,
        "precision": source.card.precision,
        "made_by": f"crossiqa-edge {__version__}",
        "tolerance": TOLERANCE[source.card.precision],
        "scores": scores,
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    write_text(folder / "bundle.json", json.dumps(manifest, indent=2) + "\n")
