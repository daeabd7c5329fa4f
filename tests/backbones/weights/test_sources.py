import huggingface_hub
import pytest
from huggingface_hub import constants

from normtest_tf import backbones, errors
from normtest_tf.backbones import weights
from normtest_tf.backbones.weights import safetensors_files
from normtest_tf.system import files
from tests.backbones.weights.helpers import load, small


def test_a_tag_that_cannot_be_downloaded_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(files, "host_problem", lambda url: "no answer")
    with pytest.raises(
        errors.UsageError, match=r"resnet18\.tv_in1k.*no answer.*--weights=PATH"
    ):
        backbones.ResNet18(weights="tv_in1k")


def test_offline_a_tag_that_is_not_cached_is_refused_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delattr(files, "host_problem")
    with pytest.raises(errors.UsageError, match="HF_HUB_OFFLINE is set"):
        weights.fetch("hf:timm/resnet18.tv_in1k", "resnet18.tv_in1k")


def test_a_cached_tag_is_used_offline(monkeypatch):
    def hub(repository, name, *, local_files_only):
        assert (repository, name) == ("timm/resnet18.a1_in1k", "model.safetensors")
        assert local_files_only
        return "cached.safetensors"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    path = backbones.resolve("resnet18", "a1_in1k").fetch()
    assert path.name == "cached.safetensors"


@pytest.mark.parametrize("suffix", [".safetensors", ".weights.h5", ".keras"])
def test_negative_running_variances_are_refused(tmp_path, suffix):
    path = tmp_path / f"some{suffix}"
    model = small()
    variance = model.get_layer("layer2_0_bn1").moving_variance
    variance.assign(variance * -1)
    if suffix == ".safetensors":
        safetensors_files.save(model, path)
    elif suffix == ".keras":
        model.save(path)
    else:
        model.save_weights(path)
    with pytest.raises(errors.UsageError, match="variance of 'layer2_0_bn1'"):
        load(small(), path)


def test_embedded_weights_are_in_the_package():
    path = backbones.resolve("cifar_resnet8").fetch()
    assert path.is_file()
    assert path.parent.name == "backbones"


def test_weights_that_keras_downloads_are_not_fetched_here():
    with pytest.raises(ValueError, match="'keras'"):
        backbones.resolve("keras_resnet50").fetch()


def test_a_failed_download_of_keras_is_one_clear_error():
    failure = Exception("URL fetch failure")
    failure.__cause__ = OSError("no route to host")
    with (
        pytest.raises(errors.UsageError, match=r"vgg16\.imagenet.*no route to host"),
        weights.keras_download("vgg16.imagenet"),
    ):
        raise failure


def test_errors_in_the_arguments_of_keras_networks_are_not_downloads():
    with (
        pytest.raises(ValueError, match=r"^input_shape is wrong$"),
        weights.keras_download("vgg16.imagenet"),
    ):
        raise ValueError("input_shape is wrong")
