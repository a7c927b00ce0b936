"""Energy that a stretch of work took, where the machine has a counter for it.

Three counters are known: RAPL of x86 processors (Linux powercap), the total energy counter of NVIDIA cards
(NVML, through the ``nvidia-ml-py`` package where it is installed), and the INA3221 power monitors of
Jetson modules (hwmon; the sensors that tegrastats prints), which give power and are integrated over time by
sampling. A machine without any of them gives None: energy is never estimated from anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from crossiqa_edge.bench.nvml import first_card

_POWERCAP = Path("/sys/class/powercap")
_HWMON = Path("/sys/class/hwmon")
_PERIOD = 0.05  # seconds between two readings of a power monitor
# Of the whole module; Orin NX and Nano have it, AGX Orin has four rails that are to be summed instead. Labels
# as in NVIDIA's device trees (linux, arch/arm64/boot/dts/nvidia/tegra234-p3701.dtsi and tegra234-p3767.dtsi).
_WHOLE_MODULE = "VDD_IN"
_NOT_OF_THE_MODULE = ("NC", "CVB_")  # not connected; the carrier board's


class Counter(Protocol):
    """A running total of energy."""

    @property
    def name(self) -> str: ...

    def joules(self) -> float:
        """Energy since some moment in the past; only differences mean anything."""


@dataclass
class Rapl:
    """RAPL's packages, which wrap around at ``max_energy_range_uj``."""

    zones: tuple[Path, ...]
    name: str = "RAPL"
    _last: list[int] = field(default_factory=list)
    _total: int = 0

    @classmethod
    def find(cls, powercap: Path = _POWERCAP) -> Rapl | None:
        """The processor packages whose counter may be read (often by root alone)."""
        zones = tuple(zone for zone in sorted(powercap.glob("intel-rapl:?")) if _number(zone / "energy_uj"))
        return cls(zones) if zones else None

    def joules(self) -> float:
        now = [_number(zone / "energy_uj") or 0 for zone in self.zones]
        for zone, last, current in zip(self.zones, self._last, now, strict=False):
            wrapped = (_number(zone / "max_energy_range_uj") or 0) if current < last else 0
            self._total += current - last + wrapped
        self._last = now
        return self._total / 1e6


@dataclass
class PowerMonitor:
    """Rails of INA3221 monitors, read in a thread: millivolts times milliamperes, summed over time.

    The name tells which rails they are.
    """

    rails: tuple[tuple[Path, Path], ...]
    name: str = "INA3221"
    _total: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def find(cls, hwmon: Path = _HWMON) -> PowerMonitor | None:
        """The rail of the whole module where there is one, or else all rails of the module."""
        rails = _rails(hwmon)
        if _WHOLE_MODULE in rails:
            rails = {_WHOLE_MODULE: rails[_WHOLE_MODULE]}
        if not rails:
            return None
        monitor = cls(tuple(rails.values()), f"INA3221 {' + '.join(rails)}")
        threading.Thread(target=monitor._sample, daemon=True).start()
        return monitor

    def joules(self) -> float:
        return self._total

    def watts(self) -> float:
        """Power at this moment."""
        return sum((_number(volts) or 0) * (_number(amperes) or 0) for volts, amperes in self.rails) / 1e6

    def close(self) -> None:
        self._stop.set()

    def _sample(self) -> None:
        last = perf_counter()
        while not self._stop.wait(_PERIOD):
            now = perf_counter()
            self._total += self.watts() * (now - last)
            last = now


@dataclass
class Nvml:
    """The first NVIDIA card's own total, in millijoules since the driver was loaded."""

    library: Any
    card: Any
    name: str = "NVML"

    @classmethod
    def find(cls) -> Nvml | None:
        """The first card, if it counts: those before Volta and a Jetson's do not."""
        found = first_card()
        if found is None:
            return None
        counter = cls(*found)
        try:
            counter.joules()
        except counter.library.NVMLError:
            return None
        return counter

    def joules(self) -> float:
        return float(self.library.nvmlDeviceGetTotalEnergyConsumption(self.card)) / 1e3


def find_counter(device: str) -> Counter | None:
    """The counter nearest to the work of ``device``: the card's, the board's, the processor's, or None.

    Args:
        device: as backends say it. A card only idles while a CPU works, so its counter is not for ``cpu``.
    """
    card = None if device == "cpu" else Nvml.find()
    return card or PowerMonitor.find() or Rapl.find()


@dataclass
class Spent:
    """Energy of a block that has ended; ``joules`` is None where nothing counted it."""

    joules: float | None = None


@contextmanager
def metered(counter: Counter | None) -> Iterator[Spent]:
    """Measure the block with ``counter``."""
    spent = Spent()
    start = counter.joules() if counter else 0.0
    yield spent
    if counter:
        spent.joules = counter.joules() - start


def _rails(hwmon: Path) -> dict[str, tuple[Path, Path]]:
    """The module's rails by label: files of millivolts and milliamperes."""
    rails = {}
    for folder in sorted(hwmon.glob("hwmon*")):
        if _text(folder / "name") != "ina3221":
            continue
        for channel in (1, 2, 3):
            label = _text(folder / f"in{channel}_label") or f"{folder.name} in{channel}"
            current = folder / f"curr{channel}_input"
            if current.exists() and not label.startswith(_NOT_OF_THE_MODULE):
                rails[label] = (folder / f"in{channel}_input", current)
    return rails


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text and text.lstrip("-").isdecimal() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
