"""What a row of the kernel benchmark cannot be read without: the GPU, its driver, versions, commit."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Any

import torch

from crossiqa_edge.bench.facts import facts, versions
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.nvml import first_card
from crossiqa_edge.bench.rows import FORMAT

COMMIT = "CROSSIQA_COMMIT"  # the variable that names the commit of a copy without .git


def run_facts() -> Row:
    """What the rows of a run on the current CUDA device have in common."""
    here = facts()
    return {
        "format": FORMAT,
        "run": secrets.token_hex(6),
        **gpu(),
        **here,
        "driver": driver(here["machine"]["gpus"]),
        "libraries": here["libraries"] | versions(("timm",)),
        "commit": here["commit"] or os.environ.get(COMMIT) or None,
    }


def gpu() -> Row:
    """The current CUDA device."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "device": properties.name,
        "architecture": f"sm_{properties.major}{properties.minor}",
        "cuda": torch.version.cuda,
    }


def driver(cards: Sequence[str]) -> str | None:
    """Version of the driver, by its library, or by nvidia-smi's lines about ``cards``; None without both."""
    found = first_card()
    if found is not None:
        version: Any = found[0].nvmlSystemGetDriverVersion()
        return version.decode() if isinstance(version, bytes) else str(version)
    parts = cards[0].split(", ") if cards else []
    return parts[2] if len(parts) > 2 else None
