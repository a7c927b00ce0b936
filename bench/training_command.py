"""The command line of benches that train networks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from crossiqa_edge.errors import CrossIQAError


def command_line(description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser with the options that all of these benches have."""
    parser = argparse.ArgumentParser(description=description, epilog=epilog)
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="where the data sets lie")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and decoded pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of results; what is there is kept")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that make views (default: 1)")
    return parser


def run_measure(measure: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """``measure``, and the exit code: 2 after an error that is told, 130 after Ctrl-C."""
    torch.set_num_threads(options.threads)
    try:
        measure(options)
    except CrossIQAError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
