"""``crossiqa degrade``: show the degradations, apply one to a picture, or lay them all out on a sheet."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.cli.console import print_table, track
from crossiqa_edge.errors import ConfigError, MissingDependencyError, OutputError
from crossiqa_edge.imaging.decode import decode_judgeable
from crossiqa_edge.imaging.sampling import Frame

if TYPE_CHECKING:
    from crossiqa_edge.data.degradations import Degradation

FAMILIES = ("kadid10k", "tid2013", "video")
# A lossy file would add a degradation of its own to the one asked for.
_LOSSLESS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "lossless": True},
    ".tif": {"format": "TIFF"},
    ".tiff": {"format": "TIFF"},
    ".bmp": {"format": "BMP"},
}
_SHEETS: dict[str, dict[str, Any]] = {
    ".webp": {"format": "WEBP", "quality": 60, "method": 6},
    ".jpg": {"format": "JPEG", "quality": 85},
    ".png": {"format": "PNG"},
}
_WEBP_SIDE = 16_383  # px, the most that the format can have
_TILE = (80, 112)  # height, width of a picture on the sheet
_WORKED_ON = 512  # px of the photo's middle; a sheet shows no more of it, and 47 x 5 pictures take their time
_PIPE_WIDTH = 160  # columns where nobody's terminal says how wide it is


@click.command()
@click.argument("photo", required=False, metavar="[PHOTO]", type=click.Path(path_type=Path))
@click.option("--list", "listing", is_flag=True, help="List all degradations; needs no PHOTO.")
@click.option("--type", "name", metavar="NAME", help="The degradation to apply, as --list names it.")
@click.option("--level", type=click.IntRange(1, 5), metavar="1..5", help="Severity: 1 is mild, 5 is severe.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of noise and losses.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Lossless: .png, .webp, .tif or .bmp.  [default: PHOTO.NAME-LEVEL.png in this folder]",
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A contact sheet (.webp, .jpg or .png) of every degradation at every level, the middle of PHOTO at "
    "native resolution; --family, --type and --level narrow it.",
)
@click.option("--family", type=click.Choice(FAMILIES), help="Only these, for --list and --sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    photo: Path | None,
    listing: bool,
    name: str | None,
    level: int | None,
    seed: int,
    output: Path | None,
    sheet: Path | None,
    family: str | None,
    as_json: bool,
    force: bool,
) -> None:
    """Degrade PHOTO as data sets of human opinion and video streams do.

    \b
    crossiqa degrade --list
    crossiqa degrade photo.png --type jpeg --level 3
    crossiqa degrade photo.png --sheet all.webp

    Equal arguments give equal pictures. The path written, and its PSNR (dB) and SSIM against PHOTO, go
    to stdout.
    """
    chosen = _chosen(name, family)
    if listing:
        _list(chosen, as_json)
    elif photo is None:
        raise click.UsageError("Give a PHOTO, or --list.")
    elif sheet is not None:
        if output is not None:
            raise click.UsageError("--sheet names its own file; leave out --output.")
        _check_target(sheet, _SHEETS, force)
        _write_sheet(chosen, decode_judgeable(photo), photo.name, level, seed, sheet)
        click.echo(json.dumps({"path": str(sheet)}) if as_json else str(sheet))
    elif name is None or level is None:
        raise click.UsageError("Give --type and --level, or --sheet; --list shows the types.")
    else:
        target = output or Path(f"{photo.stem}.{name}-{level}.png")
        _check_target(target, _LOSSLESS, force)
        original = decode_judgeable(photo)
        _check_size(original, target)
        _degrade(chosen[0], original, level, seed, target, as_json)


def _chosen(name: str | None, family: str | None) -> tuple[Degradation, ...]:
    """The degradation called ``name``, or all of ``family``, or all."""
    try:
        from crossiqa_edge.data.degradations import every, get
    except ModuleNotFoundError as error:
        raise MissingDependencyError("degrading pictures", "train") from error
    if name is None:
        return every(family)
    found = get(name)
    if family not in (None, found.family):
        raise ConfigError(f"{name} is of the family {found.family}, not {family}; leave out one of the two")
    return (found,)


def _list(chosen: tuple[Degradation, ...], as_json: bool) -> None:
    if as_json:
        facts = ("name", "title", "family", "number", "band", "parameter_name", "parameters", "source")
        click.echo(json.dumps([{fact: getattr(item, fact) for fact in facts} for item in chosen], indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("name", "title", "family", "no.", "band", "parameter", "levels 1 to 5"):
        table.add_column(column, no_wrap=column in ("name", "family", "band"))
    for item in chosen:
        levels = ", ".join(f"{value:g}" for value in item.parameters)
        number = str(item.number or "-")
        cells = (item.name, item.title, item.family, number, item.band, item.parameter_name, levels)
        table.add_row(*map(Text, cells))
    print_table(table, _PIPE_WIDTH)


def _degrade(
    degradation: Degradation, original: Frame, level: int, seed: int, target: Path, as_json: bool
) -> None:
    from PIL import Image

    from crossiqa_edge.data.fidelity import psnr, ssim

    degraded = degradation(original, level, seed)
    decibels, similarity = psnr(original, degraded), ssim(original, degraded)
    with atomic_write(target) as stream:
        Image.fromarray(degraded).save(stream, **_LOSSLESS[target.suffix.lower()])
    if as_json:
        record = {
            "path": str(target),
            "type": degradation.name,
            "level": level,
            "parameter": degradation.parameters[level - 1],
            "seed": seed,
            "psnr": round(decibels, 3) if math.isfinite(decibels) else None,
            "ssim": round(similarity, 5),
        }
        click.echo(json.dumps(record))
    else:
        click.echo(f"{target}  PSNR {decibels:.2f} dB  SSIM {similarity:.4f}")


def _write_sheet(
    chosen: tuple[Degradation, ...], original: Frame, name: str, level: int | None, seed: int, target: Path
) -> None:
    from crossiqa_edge.report.contact_sheet import Row, contact_sheet, window

    levels = range(1, 6) if level is None else (level,)
    rows = []
    original = window(original, _WORKED_ON, _WORKED_ON)
    for item in track(chosen, "degrading", len(chosen)):
        pictures = [window(item(original, step, seed), *_TILE) for step in levels]
        values = ", ".join(f"{item.parameters[step - 1]:g}" for step in levels)
        rows.append(Row(f"{item.name}  ({item.parameter_name}: {values})", pictures))
    which = "levels 1 to 5" if level is None else f"level {level}"
    page = contact_sheet(rows, f"{name}, {which}; details at native resolution")
    with atomic_write(target) as stream:
        page.save(stream, **_SHEETS[target.suffix.lower()])


def _check_target(target: Path, formats: dict[str, dict[str, Any]], force: bool) -> None:
    """Before any work: a format that can be written, and no file lost by accident."""
    if target.suffix.lower() not in formats:
        raise ConfigError(f"{target}: cannot write this format; choose from {', '.join(formats)}")
    if target.exists() and not force:
        raise OutputError(f"{target}: exists already; choose another name with -o, or give --force")


def _check_size(original: Frame, target: Path) -> None:
    """Before any work: a picture that the format can hold."""
    height, width = original.shape[:2]
    if target.suffix.lower() == ".webp" and max(height, width) > _WEBP_SIDE:
        raise OutputError(
            f"{target}: WebP cannot hold {width} x {height} pixels, only {_WEBP_SIDE} a side; name a .png"
        )
