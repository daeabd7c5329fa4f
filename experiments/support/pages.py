"""The generated pages of the documentation on settings and flags.

They are made from the registry of settings and from the options of `RunConfig`, so
that a new one appears there by itself.
"""

from __future__ import annotations

import dataclasses

from normtest_tf.normalization import CONTROL, SETTINGS
from normtest_tf.runs import RunConfig, options
from normtest_tf.text import markdown_table

_WRITTEN_BY = "Written by `python -m experiments.networks`; edit the code, not this."


def settings_page() -> str:
    """Returns docs/settings.md: every normalization setting and its question."""
    rows = [("`--normalization`", "inputs become", "the question it answers")]
    rows += [
        (f"`{setting.name}`", setting.formula, setting.question)
        for setting in SETTINGS.values()
    ]
    return f"""# The settings

{_WRITTEN_BY}

x is a pixel from 0 to 1. Every setting is the model's first layer, in float32 under
every precision policy. All others are compared with `{CONTROL}`.

{markdown_table(rows)}

`--pretrain_mean` and `--pretrain_std` say what a weights file was pre-trained with.
"""


def flags_page() -> str:
    """Returns docs/flags.md: every flag of a run, with its default."""
    rows = [("flag", "default", "meaning")]
    for field in dataclasses.fields(RunConfig):
        about = options.get(field)
        allowed = f" One of {', '.join(about.choices)}." if about.choices else ""
        shown = "" if field.default is None else f"`{field.default}`"
        rows.append((f"`--{field.name}`", shown, about.help + allowed))
    return f"""# The flags of a run

{_WRITTEN_BY}

`experiments.train` has all of these. `experiments.sweep` has them, too, but for
`--dataset`, `--model`, `--normalization` and `--seed`, which it takes as lists:
`--datasets`, `--models`, `--normalizations` and `--seeds`; its `--weights` may name
the weights of some models: `MODEL=WEIGHTS,MODEL=WEIGHTS`. Both take `--dry_run`.

{markdown_table(rows)}
"""
