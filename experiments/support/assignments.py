"""MODEL=WEIGHTS: which model a value of a sweep's `--weights` is for."""

from __future__ import annotations

from collections.abc import Sequence

from normtest_tf import backbones, errors


def split(value: str, models: Sequence[str] = ()) -> tuple[str | None, str]:
    """Splits MODEL=WEIGHTS at the right equals sign: paths may have some, too.

    Args:
        value: MODEL=WEIGHTS, or WEIGHTS alone.
        models: The values of `--models`, which come before other models.

    Returns:
        The model, None if there is none, and the weights.
    """
    parts = value.split("=")
    pairs = [
        ("=".join(parts[:count]), "=".join(parts[count:]))
        for count in range(1, len(parts))
    ]
    for pair in pairs:
        if pair[0] in models:
            return pair
    for pair in pairs:
        if pair[0] in backbones.ARCHITECTURES or backbones.names_file(pair[0]):
            return pair
    return None, value


def weights_by_model(
    values: Sequence[str], models: Sequence[str]
) -> dict[str, str | None]:
    """Returns the weights of each model.

    Args:
        values: The values of `--weights`: none, one for all, or MODEL=WEIGHTS.
        models: The values of `--models`.

    Raises:
        UsageError: If a value can't be assigned to a model.
    """
    if len(values) == 1 and split(values[0], models)[0] is None:
        return dict.fromkeys(models, values[0])
    weights: dict[str, str | None] = dict.fromkeys(models)
    for value in values:
        model, name = split(value, models)
        if model not in weights or not name or weights[model] is not None:
            raise errors.UsageError(
                "--weights takes one value for all models, or MODEL=WEIGHTS at most "
                f"once for each of --models={','.join(models)}. Received: {value!r}"
            )
        weights[model] = name
    return weights
