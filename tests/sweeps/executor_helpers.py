"""GPUs that do not exist, and a function that tells which of them a worker sees."""

import os

from normtest_tf.sweeps import executor


def fake_nvidia_smi(folder, monkeypatch, printed, status=0):
    """Puts a program of that name on the path, and no GPUs into the environment."""
    (folder / "printed").write_text(printed)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{folder}/printed'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def execute_and_tell(config, notify):
    """Executes a run, and says what its process sees."""
    notify(f"{os.getpid()} sees {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    return executor.execute(config, notify)


def show(line):
    print(line, flush=True)
