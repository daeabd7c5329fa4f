"""The GPUs of this machine, counted without importing TensorFlow."""

from __future__ import annotations

import os
import re
import subprocess

VARIABLE = "CUDA_VISIBLE_DEVICES"
_TIMEOUT_SECONDS = 20


def visible() -> list[str]:
    """Returns the GPUs that processes of this one's may use.

    Returns:
        Values for CUDA_VISIBLE_DEVICES, one for each GPU or MIG device: those of that
        variable if it is set, otherwise all that `nvidia-smi` lists.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen is None:
        return _listed(_nvidia_smi())
    names = [name.strip() for name in chosen.split(",")]
    # CUDA ignores everything from the first name on that stands for no GPU.
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


def _nvidia_smi() -> str:
    """Returns what `nvidia-smi -L` prints; nothing where there is no such program."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _listed(text: str) -> list[str]:
    """Returns the devices in the output of `nvidia-smi -L`.

    Where a GPU is divided, the lines below it are its MIG devices, and CUDA can't use
    the whole.
    """
    found: list[str] = []
    whole = False  # Whether the last of `found` is a GPU that may be divided.
    for line in text.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append(gpu[1])
            whole = True
        elif mig := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line):
            if whole:
                found.pop()
            found.append(mig[1])
            whole = False
    return found
