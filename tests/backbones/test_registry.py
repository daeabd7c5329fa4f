import pytest

from normtest_tf import backbones
from normtest_tf.backbones import architecture, registry


@pytest.mark.parametrize("name", sorted(registry.ARCHITECTURES))
def test_every_network_has_a_function_and_weights(name):
    entry = backbones.get(name)
    assert callable(entry.load_builder())
    assert entry.is_own != name.startswith("keras_")
    assert entry.default_tag in entry.tags
    assert all(std > 0 for tag in entry.tags.values() for std in tag.statistics.std)


def test_our_own_networks_are_functions_of_the_package():
    assert backbones.ResNet18 is backbones.get("resnet18").load_builder()
    for name in backbones.__all__:
        assert getattr(backbones, name)
    with pytest.raises(AttributeError, match="VGG16"):
        backbones.VGG16  # noqa: B018  (the attribute is what fails)


def test_tags_of_timm_have_their_own_preprocessing_and_licence():
    tag = backbones.get("resnet34").tags["ra4_e3600_r224_in1k"]
    assert tag.statistics is architecture.HALF
    tag = backbones.get("resnet18").tags["fb_ssl_yfcc100m_ft_in1k"]
    assert tag.licence == "cc-by-nc-4.0"
    assert tag.trained_on == "YFCC-100M, then ImageNet-1k"
    assert tag.statistics.definition == "per-image"


@pytest.mark.parametrize(
    "weights", ["resnet18.tv_in1k", "resnet50.a1_in1k", "densenet121.ra_in1k"]
)
def test_default_weights_are_those_of_the_pytorch_study(weights):
    entry = backbones.get(weights.partition(".")[0])
    assert entry.tags[entry.default_tag].origin == f"hf:timm/{weights}"


@pytest.mark.torch
def test_the_registry_has_exactly_what_timm_publishes():
    from experiments import networks

    assert registry.TIMM_TAGS.read_text(encoding="utf-8") == networks.timm_tags()
