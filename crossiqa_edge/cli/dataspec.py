"""How a data set is named on the command line: ``NAME[:REFERENCES]=PATH[,OPTION=VALUE…]``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.catalogue import open_set
from crossiqa_edge.data.datasets.scale import USUAL, taken_as
from crossiqa_edge.errors import ConfigError, DatasetError

_SPEC = re.compile(r"(?P<name>[^:=]+)(?::(?P<references>[^=]*))?=(?P<rest>.+)", re.DOTALL)
_OPTION = re.compile(r",(?=[a-z_]+=)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_LARGEST = 10**6


def open_spec(spec: str) -> QualitySet:
    """The data set that ``spec`` names.

    ``tid-kodak:13-16=kodak,opinions_csv=mos.csv`` is the set ``tid-kodak`` from the folder ``kodak``, its
    loader given one option, cut down to the references whose names end in 13 to 16.

    Raises:
        ConfigError: not of the form ``NAME[:REFERENCES]=PATH[,OPTION=VALUE…]``, or unknown name or option.
        DatasetError: the set is not there, or has no such references.
    """
    wanted = _wanted(spec)
    opened = open_whole(spec)
    return opened if wanted is None else _of_references(opened, wanted)


def open_whole(spec: str) -> QualitySet:
    """The data set that ``spec`` names, with all its references.

    Raises:
        ConfigError, DatasetError: as ``open_spec``.
    """
    match = _matched(spec)
    root, *options = _OPTION.split(match["rest"])
    return open_set(match["name"], root, **dict(option.split("=", 1) for option in options))


def set_name(spec: str) -> str:
    """The catalogue's name in a ``spec`` that ``open_spec`` takes."""
    return re.split("[:=]", spec, maxsplit=1)[0]


def guessed_scale(spec: str, opened: QualitySet) -> str | None:
    """What to tell of a labelled folder's scale, unless it is the usual one or ``spec`` says which it is."""
    if set_name(spec) != "folder" or ",native_range=" in spec or opened.native_range == USUAL:
        return None
    return f"{opened.name}: {taken_as(opened.native_range)}; add ,native_range=WORST,BEST if it is another"


def _matched(spec: str) -> re.Match[str]:
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ConfigError(
            f"{spec!r} names no data set; write NAME=PATH, or NAME:13-16=PATH for references 13 to 16"
        )
    return match


def _wanted(spec: str) -> set[int] | None:
    """Numbers of the references that ``spec`` cuts its set down to; None for all."""
    references = _matched(spec)["references"]
    return None if references is None else set(_numbers(references))


def _of_references(quality_set: QualitySet, wanted: set[int]) -> QualitySet:
    """The samples whose reference's name ends in one of the numbers ``wanted``."""
    kept = quality_set.where(lambda sample: _number(sample.reference) in wanted)
    present = {_number(sample.reference) for sample in kept.samples}
    if missing := sorted(wanted - present):
        raise DatasetError(f"{quality_set.name}: no reference whose name ends in {missing[0]}; leave it out")
    return kept


def _number(reference: str) -> int | None:
    found = re.search(r"(\d+)(?:\.\w+)?$", reference)
    return int(found[1]) if found else None


def _numbers(text: str) -> Iterator[int]:
    for item in text.split(","):
        match = _RANGE.fullmatch(item.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= _LARGEST:
            raise ConfigError(f"{text!r} are no references; write numbers and ranges, such as 1-12,15")
        yield from range(first, last + 1)
