"""A run's configuration: what is allowed, and what is refused."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from normtest_tf import errors, normalization, runs
from normtest_tf.runs import config as configs


def refused(name):
    """Returns values that the option of a field does not allow."""
    about = configs.get_option(name)
    values = ["nothing"] if about.choices else []
    if about.limits.ge is not None:
        values.append(about.limits.ge - 1)
    if about.limits.le is not None:
        values.append(about.limits.le * 2)
    if configs.kind_of(name) is float:
        values += [0.0, -1.0, float("nan"), float("inf")]
    return values


@pytest.mark.parametrize("name", configs.FIELDS)
def test_every_field_has_an_option_and_refuses_what_it_forbids(name):
    about = configs.get_option(name)
    assert about.help.endswith(".")
    for value in (configs.FIELDS[name].default, *about.choices):
        configs.check_option(name, value)
    # Every number has a limit: a flag without one would accept -1.
    assert refused(name) or configs.kind_of(name) not in (int, float)
    for value in refused(name):
        message = rf"{name}.* {value}|{name}.*'{value}'"
        with pytest.raises(errors.UsageError, match=message):
            runs.RunConfig(**{name: value}).check()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pretrain_mean": (0, 0, 0)}, "must be given together"),
        (
            {"pretrain_mean": ["a", "0", "0"], "pretrain_std": [1, 1, 1]},
            "to float: 'a'",
        ),
        ({"pretrain_mean": (0, 0), "pretrain_std": (1, 1)}, "of length 3"),
        ({"pretrain_mean": (0, 0, 0), "pretrain_std": (1, 0, 1)}, "> 0.0"),
        ({"pretrain_mean": (0, 0, "nan"), "pretrain_std": (1, 1, 1)}, ">= 0.0"),
        ({"pretrain_mean": (124, 116, 104), "pretrain_std": (1, 1, 1)}, "by 255"),
        ({"pretrain_mean": (0, 0, 0), "pretrain_std": (1, 58, 1)}, "by 255"),
        ({"normalization": "given"}, "given needs --mean and --std, as RED,GREEN,BLUE"),
        ({"mean": (0, 0, 0), "std": (1, 1, 1)}, "no other setting takes them"),
        ({"resize": "crop"}, "--resize needs --image_size"),
        ({"test_fraction": 1.0}, "--test_fraction must be above 0 and below 1"),
        ({"memory_budget": "much"}, "--memory_budget takes a size such as 4GB"),
        ({"keep": "best_validation"}, "--validation_examples"),
        ({"shift": "contrast:0"}, "--shift=contrast:C takes numbers from 0.001"),
        ({"warmup_epochs": 51}, "--warmup_epochs must be from 0 to --epochs=50"),
        ({"strategy": "data_parallel"}, "--strategy=data_parallel needs --backend=jax"),
        ({"recalibrate": True, "keep": "best_test"}, "needs --keep=final. Received"),
    ],
)
def test_unusable_values_are_refused(values, message):
    with pytest.raises(errors.UsageError, match=message):
        runs.RunConfig(**values).check()


def test_statistics_of_a_weights_file_and_of_a_setting_can_be_given():
    config = runs.RunConfig(
        pretrain_mean=["0.5", "0.4", "0.3"], pretrain_std=(1, 0.2, 0.3)
    )
    statistics = config.resolved.network.pretraining.statistics
    assert statistics.mean == (0.5, 0.4, 0.3)
    assert statistics.std == (1.0, 0.2, 0.3)
    assert config.resolved.requested["pretrain_mean"] == [0.5, 0.4, 0.3]
    values = {"mean": [".5", "0.4", "0.3"], "std": (1, 0.2, 0.3)}
    config = runs.RunConfig(normalization="given", **values)
    given = config.resolved.setting.statistics(np.zeros(0), normalization.MINMAX)
    assert (given.mean, given.std) == (statistics.mean, statistics.std)
    assert config.resolved.requested["mean"] == [0.5, 0.4, 0.3]


def test_settings_of_a_seed_share_both_seeds():
    one = runs.RunConfig(seed=1).resolved.seeds
    assert one == runs.RunConfig(seed=1, normalization="minmax").resolved.seeds
    assert one != runs.RunConfig(seed=2).resolved.seeds


def test_a_runs_location_is_not_part_of_what_is_requested(tmp_path):
    weights = tmp_path / "mine.safetensors"
    save_file({"one": np.ones(1)}, weights)
    config = runs.RunConfig(dataset="folder:a/flowers", weights=str(weights))
    requested = config.resolved.requested
    assert requested["dataset"] == "folder-flowers"
    assert requested["weights"] == "mine.safetensors"
    moved = dataclasses.replace(
        config,
        dataset="folder:b/flowers",
        results_dir="elsewhere",
        data_dir="there",
        overwrite=True,
        checkpoint_every=7,
    )
    assert moved.resolved.requested == requested
    assert dataclasses.replace(config, epochs=7).resolved.requested != requested
