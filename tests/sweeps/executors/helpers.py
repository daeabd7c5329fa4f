"""GPUs that do not exist, and a function that tells which of them a worker sees."""

import os
import time

from tests.helpers.records import RESULT


def fake_nvidia_smi(folder, monkeypatch, printed, status=0):
    """Puts a program of that name on the path, and no GPUs into the environment."""
    (folder / "printed").write_text(printed)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{folder}/printed'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def report_device(config, notify):
    """Stands in for `execution.execute`; says where it is executed."""
    notify(f"{os.getpid()} sees {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    time.sleep(1)
    return RESULT


def show(line):
    print(line, flush=True)
