"""A sweep's runs, their order, and what is refused before the first starts."""

import dataclasses

import keras
import pytest

from normtest_tf import errors, runs
from normtest_tf.sweeps import grid
from tests.helpers.records import CONFIG
from tests.sweeps.helpers import configurations


def test_a_grid_completes_pairs_first(tmp_path):
    order = [
        (config.seed, config.model, config.normalization, config.weights)
        for config in configurations(tmp_path, models=["cifar_resnet8", "resnet18"])
    ]
    assert order[:3] == [
        (1, "cifar_resnet8", "pretrain", None),
        (1, "cifar_resnet8", "finetune", None),
        (1, "resnet18", "pretrain", "none"),
    ]
    assert len(order) == 8


@pytest.mark.parametrize(
    "values", [{"seeds": []}, {"models": ["resnet18"] * 2}, {"shift": ["invert"] * 2}]
)
def test_empty_and_repeated_lists_are_refused(tmp_path, values):
    with pytest.raises(errors.UsageError, match=next(iter(values))):
        configurations(tmp_path, **values)


def test_two_data_sets_of_one_name_are_refused(tmp_path):
    names = [f"folder:{tmp_path}/{part}/flowers" for part in ("a", "b")]
    for name in names:
        (tmp_path / name.removeprefix("folder:")).mkdir(parents=True)
    with pytest.raises(errors.UsageError, match="would both be written to"):
        grid.check(configurations(tmp_path, datasets=names))


@pytest.fixture
def nets(tmp_path):
    """Returns the paths of two files with the same name."""
    paths = [tmp_path / part / "net.keras" for part in ("a", "b")]
    inputs = keras.Input((32, 32, 3))
    for path in paths:
        path.parent.mkdir()
        keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)).save(path)
    return [str(path) for path in paths]


def with_files(tmp_path, models):
    """Returns the runs of these models, with statistics for the files among them."""
    weights = dict.fromkeys(models)
    base = runs.RunConfig(
        results_dir=str(tmp_path / "results"),
        pretrain_mean=(0.5,) * 3,
        pretrain_std=(0.5,) * 3,
    )
    return grid.grid(base, grid.Axes(["digits"], models, ["pretrain"], [1]), weights)


def test_two_files_of_one_name_are_refused(tmp_path, nets):
    grid.check(with_files(tmp_path, nets[:1]))
    for pair in (nets, [nets[0], f"{tmp_path}/a/../a/net.keras"]):
        with pytest.raises(errors.UsageError, match="files different names"):
            grid.check(with_files(tmp_path, pair))


def test_statistics_of_a_file_do_not_replace_those_of_a_tag(tmp_path, nets):
    with pytest.raises(errors.UsageError, match="run a sweep for each"):
        grid.check(with_files(tmp_path, [nets[0], "cifar_resnet8"]))
    grid.check(with_files(tmp_path, ["cifar_resnet8"]))


def test_an_impossible_run_is_refused(tmp_path):
    with pytest.raises(errors.UsageError, match="Did you mean 'finetune'"):
        grid.check(configurations(tmp_path, normalizations=["fintune"]))


def test_a_finished_run_of_another_configuration_is_refused(tmp_path):
    first, *_ = configs = configurations(tmp_path)
    record = dataclasses.replace(CONFIG, requested=first.resolved.requested)
    record.write(first.folder)
    first.folder.result.touch()
    grid.check(configs)
    changed = [dataclasses.replace(config, batch_size=7) for config in configs]
    with pytest.raises(errors.UsageError, match="batch_size=256 there"):
        grid.check(changed)
    grid.check([dataclasses.replace(config, overwrite=True) for config in changed])


def test_the_state_of_a_run_is_read_from_its_folder(tmp_path):
    config = runs.RunConfig(dataset="digits", results_dir=str(tmp_path))
    assert grid.state(config) == "open"
    config.folder.path.mkdir(parents=True)
    config.folder.config.touch()
    assert grid.state(config) == "interrupted"
    config.folder.failure.touch()
    assert grid.state(config) == "failed"
    config.folder.result.touch()
    assert grid.state(config) == "done"
    assert grid.state(dataclasses.replace(config, overwrite=True)) == "failed"


def test_shifts_and_regimes_are_axes_between_data_sets_models_and_settings(tmp_path):
    configs = configurations(
        tmp_path, shift=["none", "invert"], train=["all", "head"], seeds=[1]
    )
    assert [(c.shift, c.train, c.normalization) for c in configs[:5]] == [
        ("none", "all", "pretrain"),
        ("none", "all", "finetune"),
        ("none", "head", "pretrain"),
        ("none", "head", "finetune"),
        ("invert", "all", "pretrain"),
    ]
    assert len({config.name for config in configs}) == len(configs) == 8
    grid.check(configs)
