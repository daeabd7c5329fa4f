"""What all programs have in common: --help and pipes."""

import re
import time

import pytest

from tests.helpers import ROOT, programs

PROGRAMS = sorted(
    path.stem
    for path in (ROOT / "experiments").glob("*.py")
    if "program.run(main" in path.read_text(encoding="utf-8")
)


def test_all_programs_are_tested():
    named = {"train", "quickstart", "pretrain", "export", "predict", "benchmark"}
    named |= {"networks", "parity", "sweep", "report", "faults"}
    assert named <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_help_is_quick_and_exits_with_status_0(program, flag):
    arguments = ["-X", "importtime", "-m", f"experiments.{program}", flag]
    started = time.perf_counter()
    done = programs.run_python(*arguments)
    assert time.perf_counter() - started < 10  # About 0.3 s; this is no benchmark.
    assert done.returncode == 0
    assert done.stdout.strip()
    imported = re.findall(r"\| +(\w+)$", done.stderr, re.MULTILINE)
    assert not {"tensorflow", "keras", "tensorflow_datasets"} & set(imported)


def test_a_closed_pipe_is_not_an_error():
    with programs.start("train", "--list_models") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141
