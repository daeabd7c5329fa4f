"""What --model=PATH.keras accepts, by the file's configuration alone."""

import json
import zipfile

import pytest

from normtest_tf import backbones, errors
from normtest_tf.backbones import model_files
from normtest_tf.normalization import IMAGENET
from tests.helpers import programs


def layer(kind, module="keras.layers", registered=None, **config):
    config = {"name": kind.lower()} | config
    return {
        "module": module,
        "class_name": kind,
        "config": config,
        "registered_name": registered,
    }


def image(shape=(None, 32, 32, 3), **config):
    return layer("InputLayer", batch_shape=list(shape), **config)


def model(*layers, kind="Functional", module="keras"):
    return layer(kind, module, kind, layers=list(layers))


def write(path, config, version="3.15.1"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", "resnet18"),
        ("net.keras", "file-net"),
        ("/data/a=b,c/my net.v2.KERAS", "file-my_net.v2"),
        ("C:\\nets\\one.keras", "file-one"),
        ("no/such.keras", "file-such"),
    ],
)
def test_result_paths_name_a_file_without_its_folder(name, expected):
    assert backbones.slug(name) == expected


def test_a_file_is_described_without_importing_keras(tmp_path):
    path = write(tmp_path / "net.keras", model(image(), layer("Conv2D")))
    program = (
        "import sys; from normtest_tf import backbones, normalization; "
        "network = backbones.resolve(sys.argv[1], None, normalization.IMAGENET); "
        "print(network.label, network.sha256()); sys.exit('keras' in sys.modules)"
    )
    done = programs.run_code(program, path)
    network = backbones.resolve(str(path), statistics=IMAGENET)
    assert done.stdout.split() == ["net.keras", network.sha256()]
    assert network.architecture.name == "file-net"
    assert network.pretraining.statistics is IMAGENET
    assert (network.tag, network.path) == (None, path)


def test_its_digest_is_recorded_for_random_weights_as_well(tmp_path):
    path = write(tmp_path / "net.keras", model(image()))
    own = backbones.resolve(str(path), None, IMAGENET)
    random = backbones.resolve(str(path), "none", IMAGENET)
    assert random.label == "none"
    assert random.sha256() == own.sha256()
    before = own.sha256()
    write(path, model(image(), layer("Conv2D")))
    assert own.sha256() not in (None, before)


@pytest.mark.parametrize(
    "config",
    [
        model(image(), layer("Conv2D"), kind="Sequential"),
        model(image((None, None, None, 3))),
        model(image(dtype="uint8", name="image"), layer("Rescaling")),
        # A layer of Keras Applications that its API does not list.
        model(image(), layer("LayerScale", "keras.src.applications.convnext")),
        model(image(), model(image(), layer("Conv2D"))),
    ],
)
def test_models_of_stock_layers_on_one_image_are_accepted(tmp_path, config):
    path = write(tmp_path / "net.keras", config)
    assert model_files.architecture(str(path)).file == path


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (model(image(), layer("Mine", "mine", "Mine")), "class 'Mine' of mine, which"),
        (model(image(), layer("Mine", None, "own>Mine")), "custom class 'Mine'"),
        (model(image(), model(layer("Mine", "m"))), "custom class 'Mine'"),
        (model(image(), layer("ViT", "keras_hub.src.models")), "custom class 'ViT'"),
        (model(image(), layer("Lambda")), "holds code, in a Lambda layer"),
        (model(kind="Net", module="mine"), "custom class 'Net'"),
        (layer("Dense"), "holds a Dense, which is neither"),
        (model(), "Received: inputs none"),
        (model(image((None, 8))), "inputs [None, 8]"),
        (model(image((None, 3, 32, 32))), "inputs [None, 3, 32, 32]"),
        (model(image((None, 32, 32, 1))), "inputs [None, 32, 32, 1]"),
        (model(image(), image()), "inputs [None, 32, 32, 3]; [None, 32, 32, 3]"),
        ([], "describes no model"),
    ],
)
def test_other_models_are_refused(tmp_path, config, words):
    path = write(tmp_path / "net.keras", config)
    with pytest.raises(errors.UsageError) as caught:
        backbones.resolve(str(path), None, IMAGENET)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def runs_model(network, name="classifier"):
    """Returns the configuration of a run's model."""
    config = model(
        image(dtype="uint8", name="image"),
        layer("Normalization", name="normalization"),
        layer("Functional", "keras", name=network, layers=[image()]),
        layer("Dense", name="head"),
    )
    config["config"]["name"] = name
    return config


def refusal(path):
    with pytest.raises(errors.UsageError) as caught:
        backbones.resolve(str(path), None, IMAGENET)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_runs_model_is_refused_with_what_to_pass_instead(tmp_path):
    path = write(tmp_path / "model.keras", runs_model("net"))
    assert f"pass --model=<its network> --weights={path}" in refusal(path)
    write(path, runs_model("resnet18"))
    assert f"pass --model=resnet18 --weights={path}" in refusal(path)
    write(path, runs_model("file-n_t"))
    assert ".get_layer('file-n_t').save(" in refusal(path)
    config = tmp_path / "config.json"
    config.write_text('{"requested": {"model": "keras_mobilenet"}}')
    write(path, runs_model("mobilenet_1.00_32"))
    advice = f"pass --model=keras_mobilenet --weights={tmp_path}"
    assert refusal(path).endswith(advice)
    copy = write(tmp_path / "copy.keras", runs_model("mobilenet_1.00_32"))
    assert refusal(copy).endswith(f"--weights={copy}")


def test_an_export_of_a_run_is_refused_with_its_network(tmp_path):
    path = write(tmp_path / "model.keras", runs_model("net", name="features"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("normtest_tf.json", '{"run": {"model": "keras_xception"}}')
    assert refusal(path).endswith(f"pass --model=keras_xception --weights={path}")


def test_a_model_with_some_names_of_a_runs_is_accepted(tmp_path):
    path = tmp_path / "net.keras"
    own = [
        model(image(dtype="uint8", name="image"), layer("Normalization")),
        runs_model("net", name="functional"),
    ]
    for config in own:
        write(path, config)
        assert model_files.architecture(str(path)).file == path


def test_paths_of_other_kinds_are_refused_with_a_way_to_convert_them(tmp_path):
    path = tmp_path / "net.h5"
    assert "unknown model" in refusal(path)
    assert "unknown model" in refusal("")
    path.touch()
    assert f"keras.models.load_model({str(path)!r}).save('PATH.keras')" in refusal(path)
    assert "is a folder, not a .keras file" in refusal(tmp_path)


def test_a_folder_of_a_networks_name_is_not_taken_for_a_model(tmp_path, monkeypatch):
    (tmp_path / "resnet18").mkdir()
    monkeypatch.chdir(tmp_path)
    assert backbones.resolve("resnet18").label == "tv_in1k"


def test_names_of_layers_are_those_that_tensorflow_accepts(tmp_path):
    assert model_files.layer_name("file-a.b_C>2") == "file-a.b_C>2"
    assert model_files.layer_name("file-sp ace_é") == "file-sp_ace__"
    assert model_files.layer_name("_x") == "layer_x"
    path = write(tmp_path / "é.keras", model(image()))
    described = model_files.architecture(str(path))
    assert (described.name, described.options["name"]) == ("file-é", "file-_")


def test_a_file_that_is_nested_deeply_is_refused(tmp_path):
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    assert "nested too deeply; copy or save it again" in refusal(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "net.keras"
    for content, words in [
        (None, "is no file. Allowed: the path of a .keras file"),
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, not the Keras model"),
        (b"PK\x03\x04" + bytes(99), "is not a complete .keras file"),
    ]:
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(errors.UsageError, match=words):
            backbones.resolve(str(path), None, IMAGENET)
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.UsageError, match="is no file"):
        backbones.resolve(str(path), None, IMAGENET)
    with pytest.raises(errors.UsageError, match="is no file"):
        backbones.resolve(f"{'x' * 5000}.keras", None, IMAGENET)
    write(tmp_path / "old.keras", model(image()), "2.15.0")
    with pytest.raises(errors.UsageError, match=r"Keras 2\.15\.0.*with Keras 3"):
        backbones.resolve(str(tmp_path / "old.keras"), None, IMAGENET)


def test_a_file_needs_statistics_and_brings_its_weights(tmp_path):
    path = write(tmp_path / "net.keras", model(image()))
    with pytest.raises(errors.UsageError, match=r"--pretrain_mean=.*--pretrain_std="):
        backbones.resolve(str(path))
    for weights in ("imagenet", str(path), "other.h5"):
        with pytest.raises(errors.UsageError, match="Omit --weights, or pass"):
            backbones.resolve(str(path), weights, IMAGENET)


def test_a_preset_of_kerashub_is_refused_with_a_way_to_go_on():
    for name in ("hub:resnet_18_imagenet", "HUB:resnet_18_imagenet"):
        message = refusal(name)
        for words in (name, "TensorFlow Text", "--model=PATH.keras", "outputs[0])"):
            assert words in message
