"""Sweeps: the grid, what is skipped, what fails, and what survives a kill."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

from normtest_tf import errors, runs, sweeps
from normtest_tf.system import locks
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run

SETTINGS = ["pretrain", "finetune"]
FLAGS = (
    "--datasets=digits",
    "--models=cifar_resnet8",
    "--seeds=1,2",
    "--epochs=1",
    "--train_examples=200",
    "--test_examples=200",
    "--batch_size=64",
)


def grid(results_dir, **values):
    defaults = {
        "datasets": ["digits"],
        "models": ["cifar_resnet8"],
        "normalizations": SETTINGS,
        "seeds": [1, 2],
        "weights": {"cifar_resnet8": None, "resnet18": "none"},
    }
    base = runs.RunConfig(
        results_dir=str(results_dir),
        epochs=1,
        train_examples=64,
        test_examples=64,
    )
    return sweeps.grid(base, **(defaults | values))


def sweep(*flags, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.sweep", *FLAGS, *flags],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_grid_completes_pairs_first(tmp_path):
    order = [
        (config.seed, config.model, config.normalization)
        for config in grid(tmp_path, models=["cifar_resnet8", "resnet18"])
    ]
    assert order[:3] == [
        (1, "cifar_resnet8", "pretrain"),
        (1, "cifar_resnet8", "finetune"),
        (1, "resnet18", "pretrain"),
    ]
    assert len(order) == 8


@pytest.mark.parametrize("values", [{"seeds": []}, {"models": ["resnet18"] * 2}])
def test_grid_refuses_empty_and_repeated_lists(tmp_path, values):
    with pytest.raises(errors.UsageError, match=next(iter(values))):
        grid(tmp_path, **values)


def test_plan_is_kept_and_extended(tmp_path):
    sweeps.write_plan(grid(tmp_path, seeds=[1]))
    sweeps.write_plan(grid(tmp_path, seeds=[1, 2]))
    planned = sweeps.read_plan(tmp_path)
    assert len(planned) == len(set(planned)) == 4
    assert planned[0] == "digits/cifar_resnet8-pretrain/seed-1"


def test_unreadable_plan(tmp_path):
    (tmp_path / "plan.json").write_text('{"runs": [1]}')
    with pytest.raises(errors.UsageError, match="does not list runs"):
        sweeps.read_plan(tmp_path)


def test_time_left_comes_from_finished_runs(tmp_path):
    write_run(tmp_path, dataset="digits", model="cifar_resnet8", seed=1)
    measured = sweeps.measured_seconds(str(tmp_path))
    assert measured == {("digits", "cifar_resnet8"): 60.0}
    configs = grid(tmp_path, models=["cifar_resnet8", "resnet18"], seeds=[1])
    assert sweeps.seconds_left(configs, measured) == 240
    assert sweeps.seconds_left(configs, {}) is None


def run_with_faults(config):
    """Is called in the sweep's other process in place of a run."""
    from normtest_tf.runs import finetuning

    if config.seed == 1:
        if config.normalization == "finetune":
            os.kill(os.getpid(), signal.SIGKILL)
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(finetuning, "run")
            return sweeps._run(config)
    return sweeps._run(config)


def test_a_failure_is_recorded_and_the_rest_goes_on(tmp_path):
    configs = grid(tmp_path)
    configs[0].folder.mkdir(parents=True)
    (configs[0].folder / "failed.json").write_text('{"error": "of last time"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "_run", run_with_faults)
        tally = sweeps.run_all(configs, say=lambda line: None)
    assert (tally.done, tally.failed, tally.skipped) == (2, 2, 0)
    reasons = [runs.read_json(config.folder / "failed.json") for config in configs[:2]]
    assert "AttributeError: " in reasons[0]["error"]
    assert "its process ended without a word" in reasons[1]["error"]
    assert sweeps.state(configs[0]) == "failed"
    tally = sweeps.run_all(configs, say=lambda line: None)
    assert (tally.done, tally.failed, tally.skipped) == (2, 0, 2)
    assert [sweeps.state(config) for config in configs] == ["done"] * 4


def test_sigterm_stops_a_sweep_between_two_steps(tmp_path):
    process = sweep("--results_dir=stopped", "--epochs=100000", cwd=tmp_path)
    while not list(tmp_path.rglob("history.csv")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, complaints = process.communicate()
    assert process.returncode == 143
    assert "stopped by SIGTERM; " in complaints
    assert "the same command goes on from there" in complaints
    (lock,) = tmp_path.glob("stopped/*/*/*/.lock")
    with locks.only_writer(lock.parent):  # The other process has gone, too.
        assert list((lock.parent / "checkpoints").iterdir())


def test_what_another_process_runs_is_left_to_it(tmp_path):
    configs = grid(tmp_path)[:2]
    with locks.only_writer(configs[0].folder):
        tally = sweeps.run_all(configs, say=lambda line: None)
    assert (tally.done, tally.failed, tally.elsewhere) == (1, 0, 1)
    assert not (configs[0].folder / "failed.json").exists()


def test_another_configuration_is_refused_before_anything_runs(tmp_path):
    first = grid(tmp_path)[:1]
    sweeps.run_all(first, say=lambda line: None)
    changed = [dataclasses.replace(config, batch_size=7) for config in grid(tmp_path)]
    with pytest.raises(errors.UsageError, match="batch_size=256 there"):
        sweeps.check(changed)


def test_a_killed_sweep_ends_with_the_same_tables(tmp_path):
    output, _ = sweep("--results_dir=whole", cwd=tmp_path).communicate()
    assert "4 runs done, 0 finished before, 0 failed" in output
    results = tmp_path / "killed"
    for wanted in (1, 3):  # Killed in its second and in its fourth run.
        process = sweep("--results_dir=killed", cwd=tmp_path)
        while len(list(results.glob("*/*/*/config.json"))) <= wanted:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    output, _ = sweep("--results_dir=killed", cwd=tmp_path).communicate()
    assert "1 runs done, 3 finished before" in output
    for name in ("whole", "killed"):
        command = ["experiments.report", f"--results_dir={name}", f"--out_dir=r-{name}"]
        subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )
    for name in ("table1.md", "table1.csv", "effects.csv"):
        whole = (tmp_path / "r-whole" / name).read_bytes()
        assert (tmp_path / "r-killed" / name).read_bytes() == whole


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--datasets=cifar11"], "Did you mean 'cifar10'"),
        (["--models=resnet19"], "Did you mean 'resnet18'"),
        (["--normalizations=fintune"], "Did you mean 'finetune'"),
        (["--seeds=1,one"], "--seeds takes whole numbers"),
        (["--seeds=1,1"], "different numbers"),
        (["--weights=resnet50=none"], "Received: 'resnet50=none'"),
        (["--weights=none,none"], "MODEL=WEIGHTS once"),
        (["--datasets=digits,folder:missing"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flags, words, tmp_path):
    process = sweep(*flags, cwd=tmp_path)
    _, error = process.communicate()
    assert process.returncode == 2
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    process = sweep("--dry_run", cwd=tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "4 of 4 runs to do, about" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "preset", sorted((ROOT / "experiments" / "presets").glob("*.flags"))
)
def test_presets_name_what_exists(preset, tmp_path):
    code = (
        "import sys; from absl import flags; from experiments import common, sweep\n"
        "flags.FLAGS(sys.argv); F = flags.FLAGS\n"
        "sweep.check_normalizations(F.normalizations)\n"
        "configs = sweep.sweeps.grid(common.run_config(weights=None), "
        "datasets=F.datasets, models=F.models, normalizations=F.normalizations, "
        "seeds=common.parse_seeds(F.seeds), weights=dict.fromkeys(F.models))\n"
        "sweep.sweeps.check(configs); print(len(configs))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, f"--flagfile={preset}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {"cpu_study": 80, "reference_table1": 16, "reference_extended": 64}
    assert int(result.stdout) == expected[preset.stem]
