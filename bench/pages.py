"""What the programs have in common that write a page about a folder of results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from crossiqa_edge.errors import CrossIQAError


def image(folder: Path, name: str, words: str) -> str:
    """Markdown that shows a picture of ``folder`` from a page in ``docs/``; nothing where it is absent."""
    return f"\n![{words}](../{(folder / name).as_posix()})\n" if (folder / name).is_file() else ""


def print_page(page: Callable[[Path], str], words: str, arguments: list[str] | None = None) -> int:
    """Print the page about the folder named on the command line; returns the exit code.

    Args:
        page: makes it; what it cannot use raises a CrossIQAError.
        words: docstring of the program, whose first line becomes its description.
    """
    parser = argparse.ArgumentParser(description=words.splitlines()[0])
    parser.add_argument("folder", type=Path, help="results, relative to the repository's root")
    options = parser.parse_args(arguments)
    try:
        print(page(options.folder), end="")
    except CrossIQAError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0
