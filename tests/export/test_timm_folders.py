"""A folder for timm: its files, what it refuses, and what PyTorch makes of it."""

import dataclasses
import json
import re
import socket

import numpy as np
import PIL.Image
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from experiments.support import pytorch
from experiments.support.parity import exports
from normtest_tf import errors
from normtest_tf.backbones.architecture import CAFFE
from normtest_tf.export import (
    FORMATS,
    ExportError,
    metadata,
    timm_folders,
    verification,
    writers,
)
from normtest_tf.normalization import SETTINGS, normalization_layer
from tests.export.helpers import (
    SHAPE,
    assert_close,
    build,
    outputs,
    small_model,
    write_run,
)
from tests.helpers import ROOT, numpy_resnet
from tests.helpers.programs import assert_refused, run
from tests.parity import golden

NAMES = [*"abcdefghi", "dög"]
STATISTICS = exports.STATISTICS
PIXELS = verification.random_images(exports.SHAPE, 3)
FILES = {"model.safetensors", "config.json", "normtest_tf.json"}


def described(name="resnet18", **changes):
    """Returns the metadata of a run of `exports.build(name)`."""
    return {
        "format": metadata.METADATA_FORMAT,
        "output": "logits",
        "class_names": NAMES,
        "image": {"shape": list(exports.SHAPE), "resize": "squash"},
        "normalization": "finetune",
        "statistics": {"mean": STATISTICS.mean, "std": STATISTICS.std},
        "run": {"model": name, "precision": "float32"},
    } | changes


@pytest.fixture(scope="module")
def model():
    return exports.build("resnet18")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "timm"
    writers.write(model, path, "timm", described())
    return path


@pytest.fixture
def without_pytorch(monkeypatch):
    entry = dataclasses.replace(FORMATS["timm"], runtime={"torch": "no_such_module"})
    monkeypatch.setitem(FORMATS, "timm", entry)


@pytest.mark.parametrize(
    ("name", "convolution", "classifier"),
    [("resnet50", "conv1", "fc"), ("densenet161", "features.conv0", "classifier")],
)
def test_config_json_holds_what_timm_reads(name, convolution, classifier):
    description = described(
        name,
        class_names=["cat", "dög"],
        image={"shape": [16, 24, 3], "resize": "squash"},
        statistics={"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0), "source": "x"},
    )
    assert timm_folders.config(description, convolution) == {
        "architecture": name,
        "num_classes": 2,
        "pretrained_cfg": {
            "input_size": [3, 16, 24],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": [0.1, 0.2, 0.3],
            "std": [1.0, 2.0, 3.0],
            "num_classes": 2,
            "label_names": ["cat", "dög"],
            "first_conv": convolution,
            "classifier": classifier,
        },
    }


@pytest.mark.parametrize(
    ("resize", "mode"), [("squash", "squash"), ("crop", "center"), ("pad", "border")]
)
def test_timm_resizes_as_the_run_did(resize, mode):
    image = {"shape": [32, 32, 3], "resize": resize}
    config = timm_folders.config(described(image=image), "conv1")
    assert config["pretrained_cfg"]["crop_mode"] == mode
    # timm pads with the mean.
    remark = timm_folders.remark(described(image=image))
    assert bool(remark) == (resize == "pad")


def test_the_folder_holds_config_and_metadata(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config == timm_folders.config(described(), "conv1")
    stored = json.loads((folder / "normtest_tf.json").read_text("utf-8"))
    assert stored == json.loads(json.dumps(described()))
    (folder.parent / "new").touch()  # The files are as readable as any other.
    expected = (folder.parent / "new").stat().st_mode
    assert {(folder / name).stat().st_mode for name in FILES} == {expected}


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_tensors_have_pytorchs_names(name, tmp_path):
    writers.write(exports.build(name), tmp_path / "timm", "timm", described(name))
    with safe_open(tmp_path / "timm" / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118  (not a dict)
        assert {file.get_slice(key).get_dtype() for key in shapes} == {"F32"}
    # The parameters and running statistics that PyTorch listed.
    listed = golden.load(f"{name}-training_step-32")
    assert shapes.keys() == {key.partition("/")[2] for key in listed if "/" in key}
    classifier = "fc" if name == "resnet18" else "classifier"
    features = 512 if name == "resnet18" else 1024
    assert shapes[f"{classifier}.weight"] == [10, features]
    assert shapes[f"{classifier}.bias"] == [10]


def test_the_files_alone_give_the_same_logits_in_numpy(model, folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))["pretrained_cfg"]
    inputs = (PIXELS / 255 - config["mean"]) / config["std"]
    weights = load_file(folder / "model.safetensors")
    received = numpy_resnet.forward(weights, inputs, cifar=False)
    assert_close(received.astype("float32"), outputs(model, PIXELS))


def test_images_are_normalised_with_the_constants():
    constants = {"mean": [0.0, 0.5, 1.0], "std": [1.0, 0.5, 0.25]}
    received = timm_folders.normalise(np.array([[0, 255, 51]], "uint8"), constants)
    np.testing.assert_allclose(received, [[0, 1, -3.2]], rtol=1e-6)
    assert received.dtype == np.float32


def test_an_export_is_read_back_and_one_that_differs_not_kept(
    model, tmp_path, monkeypatch, without_pytorch
):
    path = tmp_path / "timm"

    def export():
        return verification.export(model, path, "timm", described(), PIXELS)

    assert export().relative <= 1e-5
    assert "read back into Keras for lack of torch" in FORMATS["timm"].verified_by()
    (path / "mine").touch()  # Only there until the folder is replaced.
    right = timm_folders.config

    def wrong(description, convolution):
        statistics = description["statistics"] | {"std": (0.3, 0.3, 0.3)}
        return right(description | {"statistics": statistics}, convolution)

    monkeypatch.setattr(timm_folders, "config", wrong)
    with pytest.raises(ExportError, match="does not match the run's model"):
        export()
    monkeypatch.setattr(timm_folders, "config", lambda *_: {"architecture": "resnet9"})
    with pytest.raises(ExportError, match=r"can't be read back: .*resnet9"):
        export()
    assert {file.name for file in path.iterdir()} == FILES | {"mine"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": "features"}, "has logits only; omit --features"),
        ({"output": "probabilities"}, "has logits only; omit --probabilities"),
        ({"statistics": None, "normalization": "instance"}, "'instance': it has no"),
        ({"run": {"model": "cifar_resnet8"}}, "cifar_resnet8, which timm does not"),
        ({"run": {"model": "keras_resnet50"}}, "Allowed: runs of resnet18, resnet34"),
    ],
)
def test_what_timm_can_not_express_is_refused(changes, words):
    FORMATS["timm"].check_run(described())
    with pytest.raises(errors.UsageError, match=words) as caught:
        FORMATS["timm"].check_run(described(**changes))
    assert "\n" not in str(caught.value)


def test_the_library_refuses_it_as_well(tmp_path):
    with pytest.raises(errors.UsageError, match="omit --features"):
        verification.export(
            small_model(), tmp_path / "x", "timm", described(output="features"), PIXELS
        )
    for layer in [
        normalization_layer(CAFFE, SHAPE, "bgr"),
        SETTINGS["instance"].layer(None, SHAPE),
    ]:
        with pytest.raises(errors.UsageError, match="subtracts a mean from RGB"):
            writers.write(build(layer), tmp_path / "x", "timm", described())
    assert list(tmp_path.iterdir()) == []


def test_the_program_writes_a_folder_and_says_how_it_was_compared(model, tmp_path):
    folder = write_run(
        tmp_path, shape=exports.SHAPE, names=NAMES, model=model, network="resnet18"
    )
    config = json.loads(folder.config.read_text())
    config["resolved"]["statistics"] |= {"mean": STATISTICS.mean, "std": STATISTICS.std}
    folder.config.write_text(json.dumps(config))
    flags = [f"--run_dir={folder}", "--format=timm", "--check_images=2"]
    done = run("export", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    entry = FORMATS["timm"]
    words = "read back into Keras" if entry.missing_runtime() else "run by torch"
    assert done.stdout.startswith(f"timm, {words}")
    assert "on 2 images; 0 of them" in done.stdout
    assert {path.name for path in (folder.exports / "timm").iterdir()} == FILES
    assert_refused(run("export", *flags), "pass --overwrite")


@pytest.fixture
def timm(monkeypatch):
    """Returns timm, without a network."""

    def refuse(*arguments):
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return pytorch.import_module("timm")


def torch_images(inputs):
    import torch

    return torch.tensor(inputs.transpose(0, 3, 1, 2).astype("float32"))


@pytest.mark.torch
def test_timm_loads_the_folder_and_gives_the_same_logits(model, folder, timm):
    import torch

    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(loaded)
    assert list(config["input_size"]) == [3, 32, 32]
    assert list(loaded.pretrained_cfg["label_names"]) == NAMES
    inputs = torch_images((PIXELS / 255 - config["mean"]) / config["std"])
    with torch.no_grad():
        assert_close(loaded(inputs).numpy(), outputs(model, PIXELS))
    # To fine-tune for other classes: a new head on the same weights.
    other = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=3)
    assert other.get_classifier().weight.shape == (3, 512)
    assert torch.equal(other.conv1.weight, loaded.conv1.weight)
    assert torch.equal(other.layer4[1].bn2.bias, loaded.layer4[1].bn2.bias)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_the_weights_are_a_strict_state_dict(name, tmp_path, timm):
    import torch
    from safetensors.torch import load_file

    keras_model = exports.build(name)
    writers.write(keras_model, tmp_path / "timm", "timm", described(name))
    state = load_file(tmp_path / "timm" / "model.safetensors")
    inputs = (PIXELS / 255 - STATISTICS.mean) / STATISTICS.std
    torchvisions = pytorch.import_module("torchvision.models").get_model
    for create in (timm.create_model, torchvisions):
        plain = create(name, num_classes=10)
        plain.load_state_dict(dict(state), strict=True)
        with torch.no_grad():
            received = plain.eval()(torch_images(inputs)).numpy()
        assert_close(received, outputs(keras_model, PIXELS))


@pytest.mark.torch
def test_timms_transform_prepares_images_as_predict_does(folder, timm):
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True)
    config = timm.data.resolve_model_data_config(loaded)
    transform = timm.data.create_transform(**config)
    pixels = np.random.default_rng(3).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(pixels)
    received = transform(image).numpy().transpose(1, 2, 0)
    resized = np.asarray(image.resize((32, 32), PIL.Image.Resampling.BILINEAR))
    expected = timm_folders.normalise(resized, loaded.pretrained_cfg)
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)


@pytest.mark.torch
def test_an_export_is_run_by_timm_and_one_that_differs_not_kept(
    model, tmp_path, monkeypatch
):
    path = tmp_path / "timm"
    deviation = verification.export(model, path, "timm", described(), PIXELS)
    assert deviation.relative <= 1e-5
    assert FORMATS["timm"].verified_by() == ", run by torch and timm,"
    monkeypatch.setattr(timm_folders, "CONFIG", "other.json")
    with pytest.raises(ExportError, match=r"can't be run .*Config file not found"):
        verification.export(model, path, "timm", described(), PIXELS)
    assert {file.name for file in path.iterdir()} == FILES


@pytest.mark.torch
def test_the_code_in_the_docs_runs(model, folder, monkeypatch, timm):
    monkeypatch.chdir(folder.parent)
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    section = page.partition("\n## PyTorch\n")[2].partition("\n## ")[0]
    PIL.Image.fromarray(PIXELS[0]).save("cat.png")
    expected = outputs(model, PIXELS)
    first, second = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    for code in (first, second):
        names = {"images": PIXELS}
        exec(code, names)
        logits = names["logits"].detach().numpy()
        limit = 1e-5 * abs(expected).max()
        np.testing.assert_allclose(logits, expected[: len(logits)], rtol=0, atol=limit)
    assert len(logits) == len(expected)
