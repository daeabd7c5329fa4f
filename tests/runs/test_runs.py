import dataclasses

import pytest

from normtest_tf import errors, runs
from normtest_tf.system import files

ROWS = [
    {"epoch": 1, "train_accuracy": 0.1, "test_accuracy": 0.5, "seconds": 1.23456},
    {"epoch": 2, "train_accuracy": 0.2, "test_accuracy": 0.7, "seconds": 1.0},
    {"epoch": 3, "train_accuracy": 0.3, "test_accuracy": 0.7, "seconds": 1.0},
    {"epoch": 4, "train_accuracy": 1 / 3, "test_accuracy": 0.6, "seconds": 1.0},
]


def test_folder_is_the_contracts(tmp_path):
    config = runs.RunConfig(
        dataset="folder:data/flowers",
        model="resnet18",
        normalization="minmax",
        seed=7,
        results_dir=str(tmp_path),
    )
    assert config.folder == tmp_path / "folder-flowers" / "resnet18-minmax" / "seed-7"


def test_one_seed_is_split_into_two_for_all_settings():
    seeds = runs.RunConfig(seed=1).seeds()
    assert seeds == runs.RunConfig(seed=1, normalization="minmax").seeds()
    assert len({*seeds, *runs.RunConfig(seed=2).seeds()}) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_history_survives_with_all_digits_of_what_was_computed(tmp_path):
    runs.write_history(tmp_path, ROWS)
    assert runs.read_history(tmp_path) == [
        {**ROWS[0], "seconds": 1.235},
        *ROWS[1:],
    ]
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,train_accuracy,test_accuracy,seconds"


@pytest.mark.parametrize("text", ["epoch,x\n1,one\n", "epoch,x\n1\n", "x\n1\n"])
def test_a_history_that_is_none(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(errors.UsageError, match=r"history\.csv"):
        runs.read_history(tmp_path)
    with pytest.raises(errors.UsageError, match=r"history\.csv"):
        runs.read_history(tmp_path / "missing")


def test_summary_by_every_rule():
    summary = runs.summarise(ROWS)
    assert summary["best_epoch"] == 2
    assert summary["best_test_accuracy"] == 0.7
    assert summary["final_epoch"] == 4
    assert summary["final_test_accuracy"] == 0.6
    assert "selected_epoch" not in summary
    validated = [
        {**row, "validation_accuracy": value}
        for row, value in zip(ROWS, [0.9, 0.1, 0.2, 0.3], strict=True)
    ]
    summary = runs.summarise(validated)
    assert summary["selected_epoch"] == 1
    assert summary["selected_test_accuracy"] == 0.5
    assert "chosen on the validation images" in runs.describe_result(summary)


def test_statistics_of_a_weights_file_can_be_given():
    config = runs.RunConfig(pretrain_mean=["0.5", "0.4", "0.3"], pretrain_std=(1, 2, 3))
    statistics = config.source().pretraining.statistics
    assert statistics.mean == (0.5, 0.4, 0.3)
    assert statistics.std == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "cifar"}, "unknown data set 'cifar'"),
        ({"model": "resnet19"}, "Did you mean 'resnet18'"),
        ({"weights": "tv"}, "neither a file nor a tag"),
        ({"normalization": "pretrained"}, "Did you mean 'pretrain'"),
        ({"pretrain_mean": (0, 0, 0)}, "belong together"),
        ({"pretrain_mean": (0, 0), "pretrain_std": (1, 1)}, "three numbers"),
        ({"pretrain_mean": "abc", "pretrain_std": (1, 1, 1)}, "three numbers"),
        ({"pretrain_mean": (0, 0, 0), "pretrain_std": (1, 0, 1)}, "positive"),
        ({"pretrain_mean": (0, 0, "nan"), "pretrain_std": (1, 1, 1)}, "finite"),
        ({"keep": "best"}, "unknown value of --keep"),
        ({"keep": "best_validation"}, "--validation_examples"),
    ],
)
def test_values_that_are_not_allowed(values, message):
    with pytest.raises(errors.UsageError, match=message):
        runs.RunConfig(**values).check()


def test_a_finished_run_of_another_configuration_is_refused(tmp_path):
    config = runs.RunConfig(results_dir=str(tmp_path), epochs=3)
    record = {"requested": runs.requested(config)}
    files.write_json(config.folder / "config.json", record)
    runs.check_same_request(config)
    moved = dataclasses.replace(config, data_dir="elsewhere", overwrite=True)
    runs.check_same_request(moved)
    with pytest.raises(errors.UsageError, match="epochs=3 there, epochs=4 now"):
        runs.check_same_request(dataclasses.replace(config, epochs=4))
    (config.folder / "config.json").write_text("[1]")
    with pytest.raises(errors.UsageError, match="JSON object"):
        runs.check_same_request(config)


def test_what_another_version_wrote_is_refused_by_its_format(tmp_path):
    config = runs.RunConfig(results_dir=str(tmp_path))
    record = {"format": runs.FORMAT + 1, "requested": runs.requested(config)}
    files.write_json(config.folder / "config.json", record)
    with pytest.raises(errors.UsageError, match="written by format 2 of a run's"):
        runs.check_same_request(config)
    # --deterministic did not exist when format 1 began.
    old = runs.requested(config)
    del old["deterministic"]
    record = {"format": runs.FORMAT, "requested": old}
    files.write_json(config.folder / "config.json", record)
    runs.check_same_request(config)
    with pytest.raises(errors.UsageError, match="deterministic=False there"):
        runs.check_same_request(dataclasses.replace(config, deterministic=True))
