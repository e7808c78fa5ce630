"""What every benchmark says beside its figures, and how it writes a spread."""

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

CORES = len(os.sched_getaffinity(0))


def about(libraries: Sequence[str]) -> dict[str, str | None]:
    """Returns the machine and the versions; None of what is not installed."""
    versions = {}
    for name in libraries:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    machine = f"{platform.machine()}, {_processor()}, {CORES} cores"
    return {"machine": machine, "python": platform.python_version(), **versions}


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Returns "median (lowest to highest)"."""
    low, middle, high = np.quantile(list(values), (0, 0.5, 1))
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    for line in cpus.read_text().splitlines() if cpus.exists() else ():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()
