"""What all programs have in common: --help, pipes, terminals, backends."""

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
    named |= {"networks", "parity", "sweep", "report", "faults", "explain"}
    assert named <= set(PROGRAMS)


def test_the_documentation_lists_all_programs():
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    table = text.partition("\n\n| program ")[2].partition("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first))) == PROGRAMS


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


HELP = ["--help", "--helpshort", "--helpfull", "--helpxml", "-h"]


@pytest.mark.parametrize("flag", HELP)
def test_help_that_nobody_reads_is_not_an_error(flag):
    with programs.start("train", flag) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


@pytest.mark.parametrize("flag", HELP)
def test_help_succeeds_on_a_terminal_without_unicode_and_without_stdout(flag):
    program = 'PYTHONIOENCODING=ascii "$0" -m experiments.report '
    assert programs.run_shell(program + flag).returncode == 0
    done = programs.run_shell(f"{program} {flag} >&-")
    assert (done.returncode, done.stderr) == (0, "")


@programs.needs_dev_full
@pytest.mark.parametrize("flag", ["--help", "--list_models"])
def test_a_full_disk_below_stdout_is_told_in_one_line(flag):
    done = programs.run_shell(f'"$0" -m experiments.train {flag} >/dev/full')
    programs.assert_refused(done, "can't write to stdout: No space left on device")


FAILING = """
import sys
from experiments.support import program
from normtest_tf import errors

def main(argv):
    print("kept back")
    if argv[1] == "usage":
        raise errors.UsageError("its own error")
    sys.exit(f"error: {argv[1]}" if argv[1] != "0" else 0)

program.run(main, arguments=True)
"""


@programs.needs_dev_full
@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        ("usage", 2, "its own error"),
        ("mismatch", 1, "mismatch"),
        ("0", 2, "can't write to stdout"),
    ],
)
def test_a_full_disk_below_stdout_does_not_hide_another_error(end, status, words):
    shell = '"$0" -c "$1" "$2" >/dev/full'
    done = programs.run_shell(shell, FAILING, end, env={"PYTHONUNBUFFERED": ""})
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {words}")
    assert done.returncode == status


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true"])
def test_errors_that_nobody_reads_keep_their_status(where, tmp_path):
    program = '("$0" -m experiments.train --epochs=0; echo $? > "$1")'
    programs.run_shell(f"{program} {where}", tmp_path / "status")
    status = tmp_path / "status"
    for _ in range(100):  # The shell does not wait for the first part of a pipe.
        if status.exists() and status.read_text():
            break
        time.sleep(0.1)
    assert status.read_text() == "2\n"


RUN = ["--dataset=digits", "--model=cifar_resnet8", "--train_examples=64"]


def test_a_backend_that_is_not_there_is_told_by_train_and_sweep(tmp_path):
    env = {"KERAS_BACKEND": "theano"}
    done = programs.run("train", *RUN, f"--results_dir={tmp_path}", env=env)
    programs.assert_refused(done, "unknown KERAS_BACKEND 'theano'")
    flags = ["--datasets=digits", "--models=cifar_resnet8", "--seeds=1"]
    done = programs.run("sweep", *flags, f"--results_dir={tmp_path}", env=env)
    programs.assert_refused(done, "unknown KERAS_BACKEND 'theano'")


def test_the_flag_for_the_backend_takes_precedence_over_the_environment(tmp_path):
    pytest.importorskip("jax")
    flags = [*RUN, "--backend=jax", "--dry_run", "--test_examples=32"]
    env = {"KERAS_BACKEND": "theano"}
    done = programs.run("train", *flags, f"--results_dir={tmp_path}", env=env)
    assert done.returncode == 0, done.stderr
    assert '"backend": "jax"' in done.stdout


WITH_BACKENDS = ["train", "sweep", "quickstart", "pretrain", "explain", "export"]
WITH_BACKENDS += ["predict", "parity", "faults"]


@pytest.mark.parametrize("program", WITH_BACKENDS)
def test_an_unknown_backend_is_refused(program):
    done = programs.run(program, "--backend=jaxx")
    programs.assert_refused(done, "unknown value of --backend 'jaxx'. Did you mean")


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("train", [*RUN, "--results_dir=r"]),
        ("sweep", ["--datasets=digits", "--results_dir=r"]),
        ("quickstart", ["--results_dir=r"]),
        ("pretrain", ["--output=r.safetensors"]),
    ],
)
def test_a_backend_that_cannot_train_is_refused_at_once(program, flags, tmp_path):
    env = {"KERAS_BACKEND": "numpy", "PYTHONPROFILEIMPORTTIME": "1"}
    done = programs.run(program, *flags, env=env, cwd=tmp_path)
    assert done.returncode == 2
    *imported, line = done.stderr.splitlines()
    assert line.startswith("error: KERAS_BACKEND=numpy can't train a network")
    assert not [name for name in imported if name.endswith((" keras", " tensorflow"))]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", ["train", "sweep"])
def test_an_unusable_keras_json_is_told_by_train_and_sweep(program, tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "bfloat16"}')
    names = ("datasets", "models") if program == "sweep" else ("dataset", "model")
    flags = [f"--{names[0]}=digits", f"--{names[1]}=cifar_resnet8", "--epochs=1"]
    env = {"KERAS_HOME": str(tmp_path)}
    done = programs.run(program, *flags, "--results_dir=r", env=env, cwd=tmp_path)
    programs.assert_refused(done, "check what it reads (keras.json in KERAS_HOME")
    assert "Received: floatx=bfloat16" in done.stderr
    assert not list(tmp_path.glob("r/*"))


def test_a_dry_run_shows_the_model_on_a_terminal_without_unicode(tmp_path):
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    flags = [
        *RUN,
        "--test_examples=32",
        "--dry_run",
        f"--results_dir={tmp_path}/\u00c4",
    ]
    done = programs.run("train", *flags, env=env)
    assert done.returncode == 0, done.stderr
    assert "layer1_0_conv1" in done.stdout
    assert "would be written to" in done.stdout
    assert done.stdout.isascii()
