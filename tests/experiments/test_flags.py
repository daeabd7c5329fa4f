"""The flags of a run are made from the fields that they set."""

import dataclasses

import pytest
from absl import flags

from experiments.support import flags as shared
from normtest_tf.runs import RunConfig, options

FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}

EPOCHS = "--epochs takes a whole number, at least 1 and at most 1000000"


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
        flags,
        "register_validator",
        lambda *args: register(*args, flag_values=own),
    )
    return own


def test_every_field_is_a_flag_with_its_default_and_help(values):
    shared.define(*FIELDS)
    for name, field in FIELDS.items():
        assert values[name].default == field.default
        assert values[name].help.endswith(options.get(field).help)
    values(["program"])
    assert shared.run_config() == RunConfig()


def test_a_program_may_have_its_own_defaults(values):
    shared.define("seed", epochs=8, results_dir="elsewhere")
    values(["program", "--seed=7"])
    assert shared.run_config(model="vgg16") == RunConfig(
        epochs=8, results_dir="elsewhere", seed=7, model="vgg16"
    )


@pytest.mark.parametrize(
    "argument",
    [
        "--epochs=0",
        "--batch_size=0",
        "--learning_rate=0",
        "--learning_rate=1001",
        "--learning_rate=nan",
        "--seed=-1",
        "--seed=4294967296",
        "--validation_examples=-1",
        "--checkpoint_every=0",
        "--train_examples=0",
        "--normalization=fintune",
        "--precision=float8",
        "--keep=best",
    ],
)
def test_a_value_outside_its_options_limits_is_refused(argument, values):
    shared.define(*FIELDS)
    with pytest.raises(flags.IllegalFlagValueError):
        values(["program", argument])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "--epochs=many",
            f"{EPOCHS}. Received: 'many'",
        ),
        (
            "--epochs=0",
            f"{EPOCHS}. Received: '0'",
        ),
        (
            "--epochs=",
            f"{EPOCHS}. Received: ''",
        ),
        (
            "--epochs=a: b",
            f"{EPOCHS}. Received: 'a: b'",
        ),
        (
            "--epochs=a\n b",
            f"{EPOCHS}. Received: 'a\\n b'",
        ),
        ("--epochs", "--epochs needs a value: --epochs=..."),
        (
            "--seed=4294967296",
            "--seed takes a whole number, at least 0 and at most 4294967295. "
            "Received: '4294967296'",
        ),
        ("--learning_rate=x", "--learning_rate takes a number. Received: 'x'"),
        (
            "--learning_rate=0",
            "--learning_rate must be positive, and at most 1000. Received: 0.0",
        ),
        ("--overwrite=so", "--overwrite takes true or false. Received: 'so'"),
        (
            "--keep=best_tests",
            "unknown value of --keep 'best_tests'. Did you mean 'best_test'? Allowed: "
            "final, best_test, best_validation",
        ),
        (
            "--keep=a: b\nc",
            "unknown value of --keep 'a: b\\nc'. Allowed: final, best_test, "
            "best_validation",
        ),
        (
            "--epoch=3",
            "unknown flag '--epoch'. Did you mean '--epochs'? Flags are written "
            "--name=value",
        ),
        ("--flagfile", "--flagfile needs a value: --flagfile=..."),
        (
            "--flagfile=missing.flags",
            "can't open a flagfile: No such file or directory: 'missing.flags'",
        ),
        ("--flagfile=/", "can't open a flagfile: Is a directory: '/'"),
    ],
)
def test_a_command_line_that_cannot_be_parsed_is_explained(argument, message, values):
    shared.define(*FIELDS)
    with pytest.raises(flags.Error) as caught:
        values(["program", argument])
    assert shared.explain(caught.value, ["program", argument]) == message


def test_a_flagfile_that_is_not_text_is_named(values, tmp_path):
    path = tmp_path / "photo.flags"
    path.write_bytes(b"\xff\xd8\xff\xe0\x00")
    argv = ["program", f"--flagfile={path}"]
    with pytest.raises(UnicodeDecodeError) as caught:
        values(argv)
    explained = shared.explain(caught.value, argv)
    assert explained == f"--flagfile={path} does not name a text file of flags"


def test_a_required_flag_is_explained_by_its_help(values):
    flags.DEFINE_string("image", None, "An image file.")
    flags.mark_flag_as_required("image", flag_values=values)
    with pytest.raises(flags.Error) as caught:
        values(["program"])
    explained = shared.explain(caught.value, ["program"])
    assert explained == "--image is required. It takes: An image file."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--learning_rate=0"],
            "--learning_rate must be positive, and at most 1000. Received: 0.0",
        ),
        (["--learning_rate=0.5"], "--image is required. It takes: An image file."),
        (
            ["--learning_rate=0", "--epochs=none"],
            f"{EPOCHS}. Received: 'none'",
        ),
        (
            ["--image=a", "--learning_rate=0", "--overwrite", "--dry_run"],
            "--learning_rate must be positive, and at most 1000. Received: 0.0",
        ),
        (
            ["--image=a", "--overwrite", "--dry_run"],
            "give at most one of --overwrite, --dry_run",
        ),
    ],
)
def test_of_several_unusable_flags_one_is_explained(arguments, message, values):
    shared.define("learning_rate", "epochs", "overwrite")
    flags.DEFINE_string("image", None, "An image file.")
    flags.mark_flag_as_required("image", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "Print only.")
    both = ["overwrite", "dry_run"]
    flags.mark_bool_flags_as_mutual_exclusive(both, flag_values=values)
    argv = ["program", *arguments]
    with pytest.raises(flags.Error) as caught:
        values(argv)
    assert shared.explain(caught.value, argv) == message
