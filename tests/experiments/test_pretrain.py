import pytest

from normtest_tf import backbones
from tests.helpers import programs


def test_it_writes_weights_that_a_network_loads(tmp_path):
    done = programs.run(
        "pretrain",
        "--dataset=digits",
        "--epochs=1",
        "--train_examples=64",
        "--test_examples=10",
        "--output=mine.safetensors",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "channel mean" in done.stdout
    assert "epoch 1/1" in done.stdout
    model = backbones.CifarResNet8(weights=str(tmp_path / "mine.safetensors"))
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "output"),
        (["--output=x.h5"], "must end in .safetensors"),
        (["--output=x.safetensors", "--model=keras_resnet50"], "our own networks"),
        (["--output=/proc/x/y.safetensors", "--dataset=digits"], "can't write"),
        (["--output=folder.safetensors", "--overwrite"], "is a folder"),
    ],
)
def test_unusable_flags_are_refused(flags, words, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    programs.assert_refused(programs.run("pretrain", *flags, cwd=tmp_path), words)
