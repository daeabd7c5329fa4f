"""A folder for timm: its files, what it refuses, and what PyTorch makes of it."""

import dataclasses
import json
import re
import socket

import huggingface_hub
import numpy as np
import PIL.Image
import pytest
import scipy.special
from safetensors.numpy import load_file

from experiments.support import pytorch
from experiments.support.parity import exports
from normtest_tf import errors
from normtest_tf.export import (
    FORMATS,
    ExportError,
    cards,
    evaluation,
    prediction,
    timm_folders,
    verification,
    writers,
)
from normtest_tf.normalization import MINMAX, SETTINGS
from normtest_tf.runs import metadata
from tests.export.helpers import assert_close, outputs
from tests.helpers import ROOT, numpy_resnet, records
from tests.parity import golden

NAMES = [*"abcdefghi", "dög"]
STATISTICS = exports.STATISTICS
PIXELS = verification.random_images(exports.SHAPE, 3)
FILES = {"model.safetensors", "config.json", "normtest_tf.json", "README.md"}


def described(name="resnet18", **changes):
    """Returns the metadata of a run of `exports.build(name)`."""
    base = metadata.describe(records.CONFIG, 3, 0.7)
    return {
        **base,
        "class_names": NAMES,
        "image": {"shape": list(exports.SHAPE), "resize": "squash"},
        "statistics": {"mean": STATISTICS.mean, "std": STATISTICS.std},
        "run": base["run"] | {"model": name},
    } | changes


@pytest.fixture(scope="module")
def model():
    return exports.build("resnet18")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "timm"
    writers.write(model, path, "timm", described())
    return path


def test_the_folder_holds_what_timm_reads(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / "config.json").read_text("utf-8")) == {
        "architecture": "resnet18",
        "num_classes": 10,
        "pretrained_cfg": {
            "input_size": [3, 32, 32],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(STATISTICS.mean),
            "std": list(STATISTICS.std),
            "num_classes": 10,
            "label_names": NAMES,
            "first_conv": "conv1",
            "classifier": "fc",
        },
    }
    stored = json.loads((folder / "normtest_tf.json").read_text("utf-8"))
    assert stored == json.loads(json.dumps(described()))
    (folder.parent / "new").touch()  # The files are as readable as any other.
    expected = (folder.parent / "new").stat().st_mode
    assert {(folder / name).stat().st_mode for name in FILES} == {expected}
    tensors = load_file(folder / "model.safetensors")
    # The parameters and running statistics that PyTorch listed.
    listed = golden.load("resnet18-training_step-32")
    assert tensors.keys() == {key.partition("/")[2] for key in listed if "/" in key}
    assert tensors["fc.weight"].shape == (10, 512)


def test_its_card_has_licence_accuracy_and_constants(folder):
    weights = {"origin": "hf:timm/resnet18.x", "licence": "mit", "trained_on": "T"}
    card = cards.text(described(pretraining=weights), "timm")
    data = huggingface_hub.ModelCard(card).data
    assert (data.license, data.base_model) == ("mit", "timm/resnet18.x")
    other = cards.text(described(pretraining={"licence": "not stated"}), "timm")
    assert huggingface_hub.ModelCard(other).data.license == "unknown"
    (result,) = data.eval_results
    assert (result.metric_value, result.dataset_name) == (0.7, "digits")
    for words in (
        "70.0% (39.7 to 89.2) of 10 images",
        f"mean {STATISTICS.mean[0]:.6g}, ",
        "licence",
        "dög",
    ):
        assert words in card
    stored = (folder / "README.md").read_text("utf-8")
    assert "library_name: timm" in stored


def test_it_classifies_here_as_well(model, folder):
    loaded = prediction.load(folder)
    logits = outputs(model, PIXELS).astype("float64")
    expected = scipy.special.softmax(logits, axis=1)
    np.testing.assert_allclose(loaded.probabilities(PIXELS), expected, rtol=1e-4)
    changed = evaluation.renormalised(loaded, SETTINGS["minmax"], MINMAX)
    received = changed.model.predict(PIXELS, verbose=0)
    assert_close(received, outputs(loaded.model.layers[-1], PIXELS / 255))


def test_timm_resizes_as_the_run_did():
    for resize, mode in (("squash", "squash"), ("crop", "center"), ("pad", "border")):
        image = {"shape": [16, 24, 3], "resize": resize}
        config = timm_folders.config(described("densenet161", image=image), "conv")
        assert config["pretrained_cfg"]["crop_mode"] == mode
        assert config["pretrained_cfg"]["input_size"] == [3, 16, 24]


def test_the_files_alone_give_the_same_logits_in_numpy(model, folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))["pretrained_cfg"]
    inputs = (PIXELS / 255 - config["mean"]) / config["std"]
    weights = load_file(folder / "model.safetensors")
    received = numpy_resnet.forward(weights, inputs, cifar=False)
    assert_close(received.astype("float32"), outputs(model, PIXELS))


def test_without_pytorch_an_export_is_read_back(model, tmp_path, monkeypatch):
    entry = dataclasses.replace(FORMATS["timm"], runtime=("no-such-module",))
    monkeypatch.setitem(FORMATS, "timm", entry)
    assert "read back into Keras for lack of no-such" in entry.verified_by()
    args = (model, tmp_path / "timm", "timm", described(), PIXELS)
    assert verification.export(*args).relative <= 1e-5
    right = timm_folders.config

    def wrong(description, convolution):
        statistics = description["statistics"] | {"std": (0.3, 0.3, 0.3)}
        return right(description | {"statistics": statistics}, convolution)

    monkeypatch.setattr(timm_folders, "config", wrong)
    with pytest.raises(ExportError, match="does not match the run's model"):
        verification.export(*args)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": "features"}, "has logits only; omit --features"),
        ({"statistics": None, "normalization": "instance"}, "'instance': it has no"),
        ({"run": {"model": "cifar_resnet8"}}, "cifar_resnet8, which timm does not"),
        ({"image": {"shift": "invert"}}, "--shift=invert, which timm's transforms"),
    ],
)
def test_what_timm_can_not_express_is_refused(changes, words, model, tmp_path):
    with pytest.raises(errors.UsageError, match=words) as caught:
        verification.export(model, tmp_path / "x", "timm", described(**changes), PIXELS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def timm(monkeypatch):
    """Returns timm, without a network."""

    def refuse(*arguments):
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return pytorch.import_module("timm")


@pytest.mark.torch
def test_timm_loads_the_folder_as_the_docs_say(model, folder, monkeypatch, timm):
    import torch

    monkeypatch.chdir(folder.parent)
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    section = page.partition("\n## PyTorch\n")[2].partition("\n## ")[0]
    PIL.Image.fromarray(PIXELS[0]).save("cat.png")
    expected = outputs(model, PIXELS)
    first, second = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    one, all_of_them = {}, {"images": PIXELS}
    exec(first, one)
    exec(second, all_of_them)
    assert_close(all_of_them["logits"].detach().numpy(), expected)
    limit = 1e-5 * abs(expected).max()
    received = one["logits"].detach().numpy()
    np.testing.assert_allclose(received, expected[:1], rtol=0, atol=limit)
    assert one["name"] == NAMES[expected[0].argmax()]
    assert list(one["model"].pretrained_cfg["label_names"]) == NAMES
    # timm's transform prepares images of another size as `predict` does.
    pixels = np.random.default_rng(3).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(pixels)
    received = one["transform"](image).numpy().transpose(1, 2, 0)
    resized = np.asarray(image.resize((32, 32), PIL.Image.Resampling.BILINEAR))
    wanted = (resized / 255 - STATISTICS.mean) / STATISTICS.std
    np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-6)
    # To fine-tune for other classes: a new head on the same weights.
    other = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=3)
    assert other.get_classifier().weight.shape == (3, 512)
    assert torch.equal(other.layer4[1].bn2.bias, one["model"].layer4[1].bn2.bias)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_torchvision_loads_the_weights(name, tmp_path):
    import torch
    from safetensors.torch import load_file

    model = exports.build(name)
    writers.write(model, tmp_path / "timm", "timm", described(name))
    plain = pytorch.import_module("torchvision.models").get_model(name, num_classes=10)
    state = load_file(tmp_path / "timm" / "model.safetensors")
    plain.load_state_dict(state, strict=True)
    inputs = (PIXELS / 255 - STATISTICS.mean) / STATISTICS.std
    with torch.no_grad():
        received = plain.eval()(torch.tensor(inputs).permute(0, 3, 1, 2).float())
    assert_close(received.numpy(), outputs(model, PIXELS))
