"""Runs programs as a user does: each in its own process, from any folder."""

import json
import os
import subprocess
import sys
import types

from tests.helpers import ROOT

TIMEOUT = 600  # Seconds; the slowest program takes a tenth of that.


def run(program, *flags, **options):
    """Runs `python -m experiments.PROGRAM`; returns its output and status."""
    return run_python("-m", f"experiments.{program}", *flags, **options)


FORKING = """
import json, os, runpy, sys, tempfile
from experiments.support import program  # What all programs import, only once.

HEAVY = {"tensorflow", "keras", "tensorflow_datasets", "matplotlib"}
found = []
for name, *flags in json.loads(sys.argv[1]):
    out, err, heavy = (tempfile.TemporaryFile("w+") for _ in range(3))
    if (child := os.fork()) == 0:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv[1:] = flags
        try:
            runpy.run_module(f"experiments.{name}", {}, "__main__", True)
        finally:
            print(*HEAVY & sys.modules.keys(), file=heavy)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for file in (out, err, heavy):
        file.seek(0)
    found.append((status, out.read(), err.read(), heavy.read().split()))
print(json.dumps(found))
"""


def run_all(commands, **options):
    """Runs commands, each [PROGRAM, *FLAGS], in forks of one process.

    Returns a namespace for each, with `returncode`, `stdout`, `stderr`, and `heavy`,
    the slow packages that it imported.
    """
    done = run_code(FORKING, json.dumps(commands), **options)
    names = ("returncode", "stdout", "stderr", "heavy")
    found = json.loads(done.stdout)
    return [
        types.SimpleNamespace(**dict(zip(names, one, strict=True))) for one in found
    ]


def run_code(code, *arguments, **options):
    """Runs Python code in a new process and asserts that it succeeds."""
    done = run_python("-c", code, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done


def run_python(*arguments, **options):
    """Runs Python with any arguments and waits for its end."""
    return _run([sys.executable, *map(str, arguments)], **options)


def run_shell(command, *arguments, **options):
    """Runs a shell's command, in which "$0" is Python and "$1" the first argument."""
    arguments = map(str, arguments)
    return _run(["sh", "-c", command, sys.executable, *arguments], **options)


def _run(command, cwd=ROOT, env=None, timeout=TIMEOUT):
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(env),
        timeout=timeout,
        check=False,
    )


def start(program, *flags, **options):
    """Starts a program in the background; leaving its `with` block waits for it."""
    return start_python("-m", f"experiments.{program}", *flags, **options)


def start_python(*arguments, cwd=ROOT, env=None):
    """Starts Python in the background, with pipes for stdout and stderr."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment({"PYTHONUNBUFFERED": "1"} | (env or {})),
    )


def environment(changes=None):
    """Returns environment variables that let programs run from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT)} | (changes or {})


def assert_refused(done, words):
    """Asserts that a program exited with status 2 and one line that says why."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
