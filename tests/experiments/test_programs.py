"""What all programs have in common: --help, pipes, full disks, terminals, backends."""

import importlib.util
import re
import signal

import pytest

from tests.helpers import ROOT, programs

PROGRAMS = sorted(
    path.stem
    for path in (ROOT / "experiments").glob("*.py")
    if "program.run(main" in path.read_text(encoding="utf-8")
)
TRAINING = {
    "train": ["--dataset=digits", "--model=cifar_resnet8", "--train_examples=64"],
    "sweep": ["--datasets=digits", "--models=cifar_resnet8", "--epochs=1"],
    "quickstart": [],
    "pretrain": ["--output=r.safetensors"],
}


def test_the_documentation_lists_all_programs():
    assert {"train", "sweep", "report", "explain", "export", "predict"} < set(PROGRAMS)
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    table = text.partition("\n\n| program ")[2].partition("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first))) == PROGRAMS


STARTING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "-m"  # As while Python imports the program's package.
import experiments
signal.raise_signal(signal.SIGINT)
"""


def test_ctrl_c_during_imports_leaves_no_traceback():
    done = programs.run_python("-c", STARTING)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_closed_pipe_is_not_an_error():
    with programs.start("train", "--list_models") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_help_succeeds_on_a_terminal_without_unicode_and_without_stdout():
    program = 'PYTHONIOENCODING=ascii "$0" -m experiments.report --help'
    assert programs.run_shell(program).returncode == 0
    done = programs.run_shell(f"{program} >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_below_stdout_is_reported_in_one_line():
    done = programs.run_shell('"$0" -m experiments.train --list_models >/dev/full')
    programs.assert_refused(done, "can't write a file or stdout: No space left")


FAILING = """
import errno
import sys
from experiments.support import program
from normtest_tf import errors

def main(argv):
    print("kept back")
    if argv[1] == "usage":
        raise errors.UsageError("its own error")
    if argv[1] == "file":
        open("missing/file.txt")
    if argv[1] == "quota":
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    if argv[1] == "memory":
        raise MemoryError("no 3 GiB")
    sys.exit(f"error: {argv[1]}" if argv[1] != "0" else 0)

program.run(main, arguments=True)
"""


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        ("usage", 2, "its own error"),
        ("file", 2, "can't use missing/file.txt: No such file"),
        ("quota", 2, "can't write a file or stdout: Disk quota exceeded"),
        ("memory", 2, "memory ran out: no 3 GiB"),
        ("mismatch", 1, "mismatch"),
        ("0", 2, "can't write a file or stdout"),
    ],
)
def test_a_full_disk_below_stdout_does_not_hide_another_error(end, status, words):
    shell = '"$0" -c "$1" "$2" >/dev/full'
    done = programs.run_shell(shell, FAILING, end, env={"PYTHONUNBUFFERED": ""})
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {words}")
    assert done.returncode == status


def test_an_unknown_backend_is_refused_at_once(tmp_path):
    commands = [[program, *flags] for program, flags in TRAINING.items()]
    env = {"KERAS_BACKEND": "numpy"}  # It can't train.
    for done in programs.run_all(commands, env=env, cwd=tmp_path):
        programs.assert_refused(done, "unknown KERAS_BACKEND 'numpy'")
        assert done.heavy == []
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_a_model_of_the_backend_in_the_flag_and_in_ascii(tmp_path):
    jax = importlib.util.find_spec("jax")
    backend = "jax" if jax else "tensorflow"
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    env |= {"KERAS_BACKEND": "theano"}
    flags = [*TRAINING["train"], "--test_examples=32", "--dry_run"]
    flags.append("--normalization=instance")
    flags += [f"--backend={backend}", f"--results_dir={tmp_path}/\u00c4"]
    done = programs.run("train", *flags, env=env)
    assert done.returncode == 0, done.stderr
    assert f'"backend": "{backend}"' in done.stdout
    assert '"statistics": null' in done.stdout
    assert "layer1_0_conv1" in done.stdout
    assert "would be written to" in done.stdout
    assert done.stdout.isascii()
    assert list(tmp_path.iterdir()) == []
