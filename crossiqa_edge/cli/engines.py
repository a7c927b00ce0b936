"""``crossiqa engines``: the TensorRT engines of this machine, whether they can be used, and why not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from crossiqa_edge.cli.console import complain, print_table
from crossiqa_edge.errors import OutputError
from crossiqa_edge.runtime import engine_cache
from crossiqa_edge.runtime.engine_cache import Entry
from crossiqa_edge.runtime.private_files import key_path, known_key

_PIPE_WIDTH = 200  # columns where nobody's terminal says how wide it is
_MIB = 1 << 20


@click.group()
def command() -> None:
    """List, verify and prune the engines that `crossiqa export --to tensorrt` keeps for this machine."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list with the whole header of each engine.")
def list_engines(as_json: bool) -> None:
    """Show every engine, the newest first, with what it was built for and whether it can be used here."""
    entries = engine_cache.entries()
    if as_json:
        click.echo(json.dumps([_record(entry) for entry in entries], indent=2))
    elif entries:
        _print_table(entries)
    else:
        click.echo(f"no engines in {engine_cache.cache_folder()}", err=True)


@command.command()
def verify() -> int:
    """Check every engine: owner, rights, authenticity, and whether this machine can use it.

    \b
    Exit codes:
      0  every engine can be used here
      1  some cannot; the reason stands beside each
    """
    entries = engine_cache.entries()
    for entry in entries:
        click.echo(f"{entry.path}: {entry.obstacle or 'sound, made for this machine'}")
    bad = sum(entry.obstacle is not None for entry in entries)
    complain(f"{len(entries) - bad} of {len(entries)} engines can be used here")
    return 1 if bad else 0


@command.command()
@click.option("--all", "everything", is_flag=True, help="Remove the usable ones too.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def prune(everything: bool, dry_run: bool) -> int:
    """Remove engines that this machine will never load again; each is built anew when it is asked for.

    An engine that only lacks a GPU or a library at the moment stays, and so does what could not be looked
    into, or may be sound under another key than the one of this machine and user: --all removes these too.
    Without that key nothing is removed, for nothing can be told from a forged engine.

    \b
    Exit codes:
      0  what was to go is gone
      1  some could not be removed; the reason stands beside each
    """
    entries = engine_cache.entries()
    if not everything and entries and known_key() is None:
        complain(f"there is no key, {key_path()}, so nothing was removed; --all removes everything")
        return 0
    doomed = [entry for entry in entries if everything or entry.stale]
    gone = [entry for entry in doomed if dry_run or _is_removed(entry)]
    for entry in gone:
        click.echo(f"{entry.path}: {entry.obstacle or 'usable, removed as asked'}")
    freed = sum(entry.size for entry in gone) / _MIB
    complain(f"{'would free' if dry_run else 'freed'} {freed:.1f} MiB, {len(gone)} engines")
    unknown = sum(entry.header is None for entry in entries if entry not in doomed)
    if unknown:
        complain(f"{unknown} stay that could not be judged; `crossiqa engines list` says why")
    return 1 if len(gone) < len(doomed) else 0


def _is_removed(entry: Entry) -> bool:
    """Remove it; what cannot be is complained of, and the others still go."""
    try:
        engine_cache.remove(entry)
    except OutputError as error:
        complain(str(error))
        return False
    return True


def _record(entry: Entry) -> dict[str, Any]:
    header = None if entry.header is None else asdict(entry.header)
    return {"path": str(entry.path), "bytes": entry.size, "obstacle": entry.obstacle, "header": header}


def _print_table(entries: list[Entry]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("engine", "model", "precision", "runtime", "for", "batches"):
        table.add_column(title, no_wrap=True)
    table.add_column("MiB", justify="right", no_wrap=True)
    table.add_column("here")
    for entry in entries:
        cells = [entry.path.stem[:12], *_facts(entry), f"{entry.size / _MIB:.1f}", entry.obstacle or "usable"]
        table.add_row(*map(Text, cells))  # Text: square brackets in a card are no markup
    print_table(table, _PIPE_WIDTH)


def _facts(entry: Entry) -> list[str]:
    """Model, precision, runtime, architectures and batches; dashes where the file cannot be trusted."""
    if entry.header is None:
        return ["-"] * 5
    key = entry.header.key
    return [
        entry.header.card.identity,
        key.precision,
        f"{key.runtime} {key.runtime_version}",
        " ".join(f"sm_{capability}" for capability in key.capabilities),
        "/".join(map(str, key.profile)),
    ]
