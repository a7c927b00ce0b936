"""The models that come with the package: ``<name>.onnx``, ready to run, each with its card inside.

A model in a lower precision is a file, and a name, of its own: ``nano-int8`` is ``nano`` in int8. So what
runs is always what was named.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from crossiqa_edge.errors import ArtefactError

_FOLDER = Path(__file__).parent


def available() -> tuple[str, ...]:
    """Names that ``find`` accepts, smallest file first."""
    files = sorted(_FOLDER.glob("*.onnx"), key=lambda path: (path.stat().st_size, path.name))
    return tuple(path.stem for path in files)


def find(name: str) -> Path:
    """The file of the shipped model ``name``.

    Raises:
        ArtefactError: no model of this name comes with the package.
    """
    names = available()
    if name in names:
        return _FOLDER / f"{name}.onnx"
    near = get_close_matches(name, names, n=2)
    hint = f"did you mean {' or '.join(near)}? Shipped" if near else "shipped"
    raise ArtefactError(
        f"no model is named {name!r}; {hint}: {', '.join(names) or 'none'}; or give a path to an .onnx file"
    )
