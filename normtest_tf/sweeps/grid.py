"""Which runs a sweep consists of, and what state they are in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from normtest_tf import backbones, datasets, errors
from normtest_tf.normalization import GIVEN
from normtest_tf.runs import RunConfig, RunName, record
from normtest_tf.system import files
from normtest_tf.training import choices

_UNSHIFTED = (datasets.NO_SHIFT,)


@dataclasses.dataclass(frozen=True)
class Axes:
    """What a grid is the product of; lists without duplicates."""

    datasets: Sequence[str]
    models: Sequence[str]
    normalizations: Sequence[str]
    seeds: Sequence[int]
    shift: Sequence[str] = _UNSHIFTED
    train: Sequence[str] = (choices.ALL,)

    def __post_init__(self) -> None:
        for name, values in dataclasses.asdict(self).items():
            if not values or len(set(values)) < len(values):
                raise errors.UsageError(
                    f"--{name} must be a non-empty list without duplicates. "
                    f"Received: {','.join(map(str, values))}"
                )


def grid(
    base: RunConfig, axes: Axes, weights: Mapping[str, str | None]
) -> list[RunConfig]:
    """Returns the runs of a grid, in the order to run them in.

    Seeds change slowest, so that a sweep that is stopped early leaves complete
    pairs; settings change fastest. All other values are those of `base`; where the
    setting `given` is among others, it alone takes `--mean` and `--std`.
    """
    keep = GIVEN not in axes.normalizations  # Then they are refused.
    return [
        dataclasses.replace(
            base,
            dataset=dataset,
            model=model,
            normalization=normalization,
            seed=seed,
            weights=weights[model],
            shift=shift,
            train=train,
            mean=base.mean if keep or normalization == GIVEN else None,
            std=base.std if keep or normalization == GIVEN else None,
        )
        for seed in axes.seeds
        for dataset in axes.datasets
        for shift in axes.shift
        for model in axes.models
        for train in axes.train
        for normalization in axes.normalizations
    ]


def check(configs: Sequence[RunConfig]) -> None:
    """Raises `UsageError` if a run can't be executed, before the first one starts."""
    seen: dict[RunName, RunConfig] = {}
    for config in configs:
        config.check()
        other = seen.setdefault(config.name, config)
        if other is not config:
            raise errors.UsageError(
                f"{config.dataset} with {config.model} and {other.dataset} with "
                f"{other.model} would both be written to {config.folder}; name each "
                "once, and give folders and files different names"
            )
        record.check_request(config)
    _check_statistics(configs)
    for key in {(config.dataset, config.reading): None for config in configs}:
        datasets.check_available(*key)
    files.check_writable(files.expand(configs[0].results_dir))


def _check_statistics(configs: Sequence[RunConfig]) -> None:
    """Raises if statistics given for a file would replace those that are recorded."""
    from_files = [c.model for c in configs if backbones.names_file(c.model)]
    tagged = [c.model for c in configs if c.resolved.network.tag is not None]
    if from_files and tagged:
        raise errors.UsageError(
            f"--pretrain_mean and --pretrain_std, which {from_files[0]} needs, would "
            f"also replace what is recorded for the weights of {tagged[0]}; run a "
            "sweep for each, with the same --results_dir"
        )


def missing_weights(configs: Sequence[RunConfig]) -> list[str]:
    """Says which weights of runs that are to do can't be downloaded, and why."""
    networks = {
        f"{network.architecture.name}.{network.label}": network
        for config in configs
        if not config.is_done and (network := config.resolved.network)
    }
    return [
        f"the weights {name} can't be downloaded ({problem}) and are not cached"
        for name, network in networks.items()
        if (problem := network.download_problem())
    ]
