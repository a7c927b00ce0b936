"""Every data set by the name that recipes and commands use; its loader is imported when it is opened."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.errors import ConfigError

_LOADERS = {  # name: (module, function in it)
    "tid2013": ("tid2013", "tid2013"),
    "kadid10k": ("kadid10k", "kadid10k"),
    "live": ("live", "live"),
    "csiq": ("csiq", "csiq"),
    "koniq10k": ("koniq10k", "koniq10k"),
    "livec": ("livec", "livec"),
    "spaq": ("spaq", "spaq"),
    "folder": ("folder_csv", "folder_csv"),
    "tid-kodak": ("tid_kodak", "tid_kodak_root"),
    "population": ("population", "population"),
    "tid-population": ("population", "tid_population"),
    "video-order": ("population", "video_order"),
}
NAMES = tuple(_LOADERS)


def open_set(name: str, root: str | os.PathLike[str], /, **options: Any) -> QualitySet:
    """The data set called ``name`` from the folder ``root``.

    Args:
        name: one of ``NAMES``; ``livec`` is LIVE-itW, ``folder`` a folder with ``labels.csv``.
        root: the folder that the release unpacks to; a leading ``~`` is the home folder.
        options: the loader's own. A string stands for what a command line can write: ``5,1`` for a
            pair or a list of numbers, ``jpeg,gaussian_blur`` for a list of names.

    Raises:
        ConfigError: unknown name or option, or a string that cannot be read as the option's value.
        DatasetError: ``root`` is not what the set's release looks like.
    """
    if name not in _LOADERS:
        near = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(NAMES)}"
        raise ConfigError(f"unknown data set {name!r}; {hint}")
    module, function = _LOADERS[name]
    loader = getattr(import_module(f"crossiqa_edge.data.datasets.{module}"), function)
    known = list(inspect.signature(loader).parameters)[1:]
    for option in options:
        if option not in known:
            allowed = ", ".join(known) or "none"
            raise ConfigError(f"data set {name!r} has no option {option!r}; it has {allowed}")
    values = {option: _value(option, value) for option, value in options.items()}
    result: QualitySet = loader(Path(root).expanduser(), **values)
    return result


def _numbers(kind: Callable[[str], float]) -> Callable[[str], tuple[float, ...]]:
    return lambda text: tuple(kind(item) for item in text.split(","))


# Options that are not strings themselves.
_FROM_TEXT: dict[str, Callable[[str], object]] = {
    "native_range": _numbers(float),
    "references": _numbers(int),
    "levels": _numbers(int),
    "types": lambda text: tuple(text.split(",")),
    "seed": int,
}


def _value(option: str, value: object) -> object:
    if not isinstance(value, str) or option not in _FROM_TEXT:
        return value
    try:
        return _FROM_TEXT[option](value)
    except ValueError as error:
        raise ConfigError(
            f"option {option}={value!r} cannot be read; write numbers, with commas between"
        ) from error
