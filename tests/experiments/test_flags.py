"""The flags of a run are made from the fields that they set."""

import dataclasses

import pytest
from absl import flags

from experiments.support import flags as shared
from normtest_tf.runs import RunConfig, config

FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}


@pytest.fixture
def values(monkeypatch):
    """A separate set of flags, so that other tests keep theirs."""
    own = flags.FlagValues()
    monkeypatch.setattr(shared, "FLAGS", own)
    for kind in ("string", "integer", "float", "bool", "enum", "list"):
        define = getattr(flags, f"DEFINE_{kind}")

        def defined(*args, define=define, **options):
            return define(*args, flag_values=own, **options)

        monkeypatch.setattr(flags, f"DEFINE_{kind}", defined)
    register = flags.register_validator
    monkeypatch.setattr(
        flags, "register_validator", lambda *args: register(*args, flag_values=own)
    )
    return own


def test_every_field_is_a_flag_with_its_default_and_help(values):
    shared.define(*FIELDS)
    for name, field in FIELDS.items():
        assert values[name].default == field.default
        assert values[name].help.endswith(config.get_option(name).help)
    values(["program"])
    assert shared.run_config() == RunConfig()


def test_a_program_may_have_its_own_defaults(values):
    shared.define("seed", epochs=8, results_dir="elsewhere")
    values(["program", "--seed=7"])
    assert shared.run_config(model="vgg16") == RunConfig(
        epochs=8, results_dir="elsewhere", seed=7, model="vgg16"
    )
