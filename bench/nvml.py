"""The first NVIDIA card through its management library, where ``nvidia-ml-py`` is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any


def first_card() -> tuple[Any, Any] | None:
    """The library and its handle of the first card; None without library, driver or card."""
    if find_spec("pynvml") is None:
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        return pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError:
        return None


def clocks() -> dict[str, int] | None:
    """Clock of the multiprocessors in MHz, and the bits that say why it is not higher; None without a card.

    The bits are NVML's ``ClocksEventReasons``: 1 for idle, 4 for the power limit, 32 and 64 for heat.
    """
    found = first_card()
    if found is None:
        return None
    library, card = found
    try:
        return {
            "sm_mhz": int(library.nvmlDeviceGetClockInfo(card, library.NVML_CLOCK_SM)),
            "held_back_by": int(library.nvmlDeviceGetCurrentClocksThrottleReasons(card)),
        }
    except library.NVMLError:  # a Jetson's driver knows the card and few of its figures
        return None
