"""Where a run's files are, and which state of the run they stand for."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normtest_tf import errors
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.normalization import SETTINGS
from normtest_tf.runs import RunFolder, RunName, folder


@given(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789_-.", min_size=1).filter(
        lambda name: name.strip(".")
    ),
    st.sampled_from(list(ARCHITECTURES)),
    st.sampled_from(list(SETTINGS)),
    st.integers(0, 2**32 - 1),
)
def test_a_name_survives_the_round_trip_through_a_path(dataset, model, setting, seed):
    name = RunName(dataset, model, setting, seed)
    assert RunName.parse(pathlib.PurePath(str(name))) == name
    assert RunName.parse(pathlib.Path("/some/results") / str(name)) == name


# Each seed has one name; the last of these has digits of another alphabet.
OTHER_NAMES = [
    *("seed-one", "seed-", "seed-02", "seed-00", "seed-+1", "seed--1", "seed-1_0"),
    *("seed-1.0", "seed- 1", "seed-1 ", "seed-1\n", "seed-1 (copy)", "seed-1.bak"),
    *("seed-1-copy", "seed_1", "Seed-1", "seed1", "old seed-1", "seed-\uff11"),
]


@pytest.mark.parametrize(
    "path",
    [*(f"a/b-c/{name}" for name in OTHER_NAMES), "seed-1", "a/seed-1", "a/1", ""],
)
def test_other_paths_are_refused(path):
    with pytest.raises(errors.UsageError, match="is not"):
        RunName.parse(pathlib.PurePath(path))


def test_starting_afresh_removes_a_run_but_not_its_exports(tmp_path):
    run = RunFolder(tmp_path / "seed-1")
    run.start_afresh()
    assert list(run.path.iterdir()) == []
    run.config.touch()
    assert run.is_started()
    assert not run.is_finished()
    run.result.touch()
    assert run.is_finished()
    for path in (run.history, run.model, run.failure):
        path.touch()
    for path in (run.checkpoints, run.tensorboard, run.exports):
        path.mkdir()
        (path / "file").touch()
    run.start_afresh()
    assert [path.name for path in run.path.iterdir()] == ["export"]


def test_all_runs_of_a_results_folder_are_found(tmp_path):
    for name in ("b/r-x/seed-1", "a/r-x/seed-10", "a/r-x/seed-9", "a/r-x/other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "r-x" / "seed-file").touch()
    found = [str(run.path.relative_to(tmp_path)) for run in folder.find(tmp_path)]
    assert found == ["a/r-x/seed-10", "a/r-x/seed-9", "b/r-x/seed-1"]
    assert folder.find(tmp_path / "missing") == []


def test_a_plan_is_kept_and_extended(tmp_path):
    names = [RunName("digits", "cifar_resnet8", "minmax", seed) for seed in range(3)]
    assert folder.read_plan(tmp_path) == []
    folder.add_to_plan(tmp_path, names[:1])
    folder.add_to_plan(tmp_path, names)
    assert folder.read_plan(tmp_path) == [str(name) for name in names]


@pytest.mark.parametrize(
    "content",
    ['{"runs": [1]}', '{"runs": "a"}', "{}", '{"runs": ["seed-1"]}', "", '{"runs": ['],
)
def test_a_plan_that_lists_anything_but_runs_is_refused(tmp_path, content):
    (tmp_path / folder.PLAN).write_text(content)
    with pytest.raises(
        errors.UsageError, match=r"can't read .*plan\.json.*; remove it"
    ):
        folder.read_plan(tmp_path)
