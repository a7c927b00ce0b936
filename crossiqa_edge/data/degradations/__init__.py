"""Degradations: pure seeded functions ``uint8 picture, level -> uint8 picture`` in one registry.

Importing this package fills the registry.
"""

from __future__ import annotations

from crossiqa_edge.data.degradations import kadid10k, tid2013, video
from crossiqa_edge.data.degradations.registry import LEVELS, Degradation, every, get, register

__all__ = ["LEVELS", "Degradation", "every", "get", "kadid10k", "register", "tid2013", "video"]
