"""Where a run's files are, which state of the run they stand for, and histories."""

import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normtest_tf import errors
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.normalization import SETTINGS
from normtest_tf.runs import RULES, RunFolder, RunName, folder
from tests.helpers.fake_results import history_rows


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


ROWS, HISTORY = (
    history_rows([0.5, 0.7, 0.7, 0.6], 1 / 7, is_validated=validated)
    for validated in (False, True)
)
ROWS[0]["seconds"] = HISTORY[0]["seconds"] = 1.23456


@pytest.fixture
def path(tmp_path):
    """The file of a history with validation images."""
    RunFolder(tmp_path).write_history(HISTORY)
    return tmp_path / "history.csv"


@pytest.mark.parametrize("rows", [ROWS, HISTORY])
def test_a_history_is_read_back_with_all_digits_of_computed_values(tmp_path, rows):
    run = RunFolder(tmp_path)
    run.write_history(rows)
    assert run.read_history() == [{**rows[0], "seconds": 1.235}, *rows[1:]]
    assert run.history.read_text().splitlines()[0] == ",".join(rows[0])


def test_what_editors_do_to_a_history_is_harmless(path):
    data = path.read_bytes()
    for edited in (
        b"\xef\xbb\xbf" + data,
        data.replace(b"\n", b"\r\n"),
        data.rstrip(),
        data.replace(b"\n", b"\n\n"),
        re.sub(rb"[^,\n]+", rb'"\g<0>"', data),
    ):
        path.write_bytes(edited)
        rows = RunFolder(path.parent).read_history()
        assert rows == [{**HISTORY[0], "seconds": 1.235}, *HISTORY[1:]]
        assert all(isinstance(row["epoch"], int) for row in rows)


def cell(column, value, line=3):
    """Returns an edit that sets one cell; the header is line 1."""

    def edit(text):
        lines = [row.split(",") for row in text.splitlines()]
        lines[line - 1][lines[0].index(column)] = value
        return "".join(",".join(cells) + "\n" for cells in lines)

    return edit


def each_line(edit):
    """Returns an edit of the lines of a text."""
    return lambda text: "".join(f"{line}\n" for line in edit(text.splitlines()))


ORDER = "epochs are not 1 to n"
REFUSED = {
    "nan": (cell("test_loss", "nan"), r"\$\[1\]"),
    "inf": (cell("train_loss", "-inf", 2), r"\$\[0\]"),
    "1e999": (cell("train_loss", "1e999"), r"\$\[1\]"),
    "text": (cell("test_accuracy", "high"), r"\$\[1\]"),
    "percentage": (cell("test_accuracy", "70.0"), r"<= 1.0 - at `\$\[1\]"),
    "negative": (cell("train_accuracy", "-0.1"), r">= 0.0 - at `\$\[1\]"),
    "epoch 1.5": (cell("epoch", "1.5"), r"\$\[1\]"),
    "lost row": (each_line(lambda a: [*a[:2], *a[3:]]), ORDER),
    "sorted": (each_line(lambda a: [a[0], *a[:0:-1]]), ORDER),
    "no rows": (each_line(lambda a: a[:1]), ORDER),
    "cut row": (lambda text: text[:-30], r"\$\[3\]"),
    "long row": (lambda text: text[:-1] + ",1\n", r"\$\[3\]|key"),
    "missing column": (lambda text: text.replace("seconds", "time"), "seconds"),
    "open quote": (lambda text: text.replace("1,", '"1,', 1), "unexpected end"),
    "empty": (lambda text: "", "it is empty"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_history_that_was_edited_is_refused_in_one_line(path, how):
    edit, message = REFUSED[how]
    text = path.read_text(encoding="utf-8")
    path.write_text(edit(text), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(errors.UsageError, match=message) as caught:
        RunFolder(path.parent).read_history()
    assert str(caught.value).startswith(f"can't read {path}: ")
    assert str(caught.value).endswith("run again with --overwrite")
    assert len(str(caught.value).splitlines()) == 1


def test_the_summary_applies_every_applicable_rule():
    assert RULES["best_validation"].choose(ROWS) is None
    assert folder.summarise(ROWS) == {
        "best_epoch": 2,
        "best_test_accuracy": 0.7,
        "final_epoch": 4,
        "final_test_accuracy": 0.6,
        "final_train_accuracy": 0.9,
    }
    assert folder.summarise(HISTORY) == folder.summarise(ROWS) | {
        "best_validation_epoch": 1,
        "best_validation_accuracy": 0.5,
        "best_validation_test_accuracy": 0.5,
    }
