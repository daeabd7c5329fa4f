"""A sweep's runs, their order, and what is refused before the first starts."""

import dataclasses

import huggingface_hub
import huggingface_hub.constants
import keras
import pytest

from normtest_tf import errors, runs
from normtest_tf.sweeps import grid
from normtest_tf.system import files
from tests.sweeps.helpers import configurations, write_record


def test_shifts_and_regimes_are_axes_between_data_sets_models_and_settings(tmp_path):
    """Seeds change slowest, so that pairs are complete; weights are their models'."""
    models = ["cifar_resnet8", "resnet18"]
    both = [c.weights for c in configurations(tmp_path, models=models)]
    assert both == [None, None, "none", "none"] * 2
    configs = configurations(
        tmp_path, shift=["none", "invert"], train=["all", "head"], seeds=[1, 2]
    )
    assert [(c.shift, c.train, c.normalization) for c in configs[:5]] == [
        ("none", "all", "pretrain"),
        ("none", "all", "finetune"),
        ("none", "head", "pretrain"),
        ("none", "head", "finetune"),
        ("invert", "all", "pretrain"),
    ]
    assert [config.seed for config in configs] == [1] * 8 + [2] * 8
    assert len({config.name for config in configs}) == len(configs)
    grid.check(configs)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seeds": []}, "--seeds must be a non-empty list"),
        ({"models": ["resnet18"] * 2}, "--models must be .* without duplicates"),
        ({"normalizations": ["fintune"]}, "Did you mean 'finetune'"),
        ({"datasets": ["folder:a/b", "folder:b"]}, "would both be written to"),
    ],
)
def test_impossible_grids_are_refused(values, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    with pytest.raises(errors.UsageError, match=words):
        grid.check(configurations(tmp_path, **values))


def test_files_have_names_and_statistics_of_their_own(tmp_path):
    nets = [tmp_path / part / "net.keras" for part in ("a", "b")]
    inputs = keras.Input((32, 32, 3))
    for path in nets:
        path.parent.mkdir()
        keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)).save(path)

    def check(*models):
        base = runs.RunConfig(
            results_dir=str(tmp_path / "results"),
            pretrain_mean=(0.5,) * 3,
            pretrain_std=(0.5,) * 3,
        )
        models = list(map(str, models))
        axes = grid.Axes(["digits"], models, ["pretrain"], [1])
        grid.check(grid.grid(base, axes, dict.fromkeys(models)))

    check(nets[0])
    check("cifar_resnet8")
    for other in (nets[1], f"{tmp_path}/a/../a/net.keras"):
        with pytest.raises(errors.UsageError, match="files different names"):
            check(nets[0], other)
    with pytest.raises(errors.UsageError, match="run a sweep for each"):
        check(nets[0], "cifar_resnet8")


def test_only_the_given_setting_takes_given_constants(tmp_path):
    base = runs.RunConfig(
        mean=(0.5,) * 3, std=(0.1,) * 3, results_dir=str(tmp_path / "results")
    )
    axes = grid.Axes(["digits"], ["cifar_resnet8"], ["pretrain", "given"], [1])
    weights = {"cifar_resnet8": None}
    configs = grid.grid(base, axes, weights)
    grid.check(configs)
    assert [config.mean for config in configs] == [None, (0.5,) * 3]
    axes = dataclasses.replace(axes, normalizations=["pretrain"])
    with pytest.raises(errors.UsageError, match="no other setting takes them"):
        grid.check(grid.grid(base, axes, weights))


def test_a_run_of_another_configuration_is_refused(tmp_path):
    first, *_ = configs = configurations(tmp_path)
    write_record(first)
    grid.check(configs)
    changed = [dataclasses.replace(config, batch_size=7) for config in configs]
    with pytest.raises(
        errors.UsageError, match=r"an unfinished .*batch_size=256 there"
    ):
        grid.check(changed)
    grid.check([dataclasses.replace(config, overwrite=True) for config in changed])


def test_weights_that_can_not_be_had_are_named_once(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(files, "host_problem", lambda url: "no route")
    cached = {"timm/resnet34.a1_in1k": "/cache/model.safetensors"}
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda name, file: cached.get(name)
    )
    base, *_ = configurations(tmp_path)
    models = ["cifar_resnet8", "resnet18", "resnet34", "keras_resnet50", "resnet18"]
    configs = [dataclasses.replace(base, model=model) for model in models]
    assert grid.missing_weights(configs) == [
        "the weights resnet18.tv_in1k can't be downloaded (no route) and are not cached"
    ]
