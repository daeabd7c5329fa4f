"""What programs refuse: a table per program of flags and words on stderr."""

import pytest

from tests.helpers import programs

TINY = ["--model=cifar_resnet8", "--dataset=digits"]
REFUSED = {
    "train": [
        (["--dataset=cifar11"], "Did you mean 'cifar10'"),
        (["--dataset=folder:missing"], "No such file"),
        (["--model=resnet19"], "Did you mean 'resnet18'"),
        (["--model=missing.keras"], "can't read missing.keras"),
        (["--normalization=fintune"], "one of <finetune|"),
        (["--weights=tv_in2k"], "tv_in1k"),
        (["--weights=missing.safetensors"], "neither a file nor a tag"),
        (["--learning_rate=nan"], "--learning_rate"),
        (["--epochs=many"], "--epochs=many"),
        (["--epoch=3"], "Did you mean: epochs"),
        (["--flagfile=missing.flags"], "'missing.flags'"),
        (["--backend=jaxx"], "tensorflow|jax|torch"),
        (["50"], "unexpected argument '50'"),
    ],
    "sweep": [
        (["--datasets=cifar11"], "Did you mean 'cifar10'"),
        (["--models=resnet19"], "Did you mean 'resnet18'"),
        (["--normalizations=fintune"], "Did you mean 'finetune'"),
        (["--seeds=1,one"], "--seeds takes whole numbers"),
        (["--seeds=1,1"], "distinct numbers"),
        (["--weights=resnet50=none,resnet18=none"], "Received: 'resnet50=none'"),
        (["--shift=cast:1,0.6,0.3"], "in a list, put it in double quotes"),
        (["--gpus_per_run=2"], "needs --backend=jax and --strategy=data_parallel"),
        (["--shift=contrast:0.5,contrast:0.50"], "without duplicates"),
        (
            ["--train=head", "--recalibrate", "--warmup_epochs=99"],
            "--warmup_epochs must",
        ),
    ],
    "quickstart": [(["--seeds="], "--seeds takes"), (["--seeds=-1"], "--seeds takes")],
    "pretrain": [
        ([], "--output must have a value"),
        (["--output=x.h5"], "must end in .safetensors"),
        (["--output=x.safetensors", "--model=keras_resnet50"], "our own networks"),
        (["--output=/proc/x/y.safetensors", *TINY], "can't write"),
        (["--output=folder.safetensors", "--overwrite"], "is a folder"),
    ],
    "explain": [(["--model=resnet19"], "Did you mean 'resnet18'")],
    "export": [
        ([], "--run_dir must have a value"),
        (["--run_dir=missing"], "missing"),
        (["--run_dir=.", "--probabilities", "--features"], "At most one of"),
    ],
    "evaluate": [
        (["--model=missing"], "--model takes a run's folder"),
        (["--model=missing", "--normalization=fintune"], "one of <finetune|"),
    ],
    "predict": [(["--model=missing"], "name one or more image files")],
    "benchmark": [
        (["--models=keras_resnet50"], "Allowed: resnet18, resnet34"),
        (["--opponents=egaer"], "Did you mean 'eager'"),
        (["--precisions=float64"], "unknown precision 'float64'"),
        (["--page=/proc/self/status", "--output=x"], "has no section between"),
        (["--page=missing.md", "--output=x"], "missing.md"),
        (["--page=missing.md"], "pass both"),
        (["--study", "--opponents=tuned"], "omit --opponents"),
        (["--output=/proc/x/y.json"], "can't write"),
    ],
    "parity": [
        (["--models=resnet34"], "Allowed: resnet18, resnet50"),
        (["--output=/proc/x/y.md"], "can't write"),
    ],
}


@pytest.mark.parametrize("program", REFUSED)
def test_unusable_flags_are_refused_at_once_in_one_line(program, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    before = set(tmp_path.iterdir())
    commands = [[program, *flags] for flags, _ in REFUSED[program]]
    found = programs.run_all(commands, cwd=tmp_path)
    for done, (_, words) in zip(found, REFUSED[program], strict=True):
        programs.assert_refused(done, words)
        assert (done.stdout, done.heavy) == ("", [])
    assert set(tmp_path.iterdir()) == before
