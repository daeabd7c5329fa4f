"""Names with a prefix, as training frameworks write them."""

import pathlib

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import errors
from normtest_tf.backbones.weights import prefixes
from tests.backbones.weights.helpers import load, refused, same_weights, small

PATH = pathlib.Path("model.safetensors")
HEAD = {"weight": np.ones((5, 128), "f4"), "bias": np.ones(5, "f4")}


def write(path, *parts):
    """Writes tensors; each part is a prefix and what follows it."""
    save_file({prefix + k: v for prefix, part in parts for k, v in part.items()}, path)


def without_classifier(tensors):
    return {k: v for k, v in tensors.items() if not k.startswith("fc.")}


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "model.",
        "backbone.",
        "encoder.",
        "_orig_mod.",
        "net.",
        "state_dict.",
        "module._orig_mod.",
        "model.backbone.",
        "student.0.trunk.",
        "fc.",
    ],
)
def test_any_prefix_of_all_tensors_is_taken_off_with_a_note(path, donor, prefix):
    tensors = load_file(path) | {"bn1.num_batches_tracked": np.array(7)}
    write(path, (prefix, tensors))
    model = small()
    note = f"took the prefix '{prefix}' off the names of the tensors in {path.name}"
    assert load(model, path) == [note]
    assert same_weights(model, donor)
    (_, skipped) = load(small(include_top=False), path)
    assert skipped == f"skipped the classifier of 10 classes in {path.name}"


@pytest.mark.parametrize("head", ["head.", "fc.", "model.classifier.1.", "backbone2."])
def test_a_classifier_outside_of_the_prefix_is_skipped(path, donor, head):
    write(path, ("backbone.", without_classifier(load_file(path))), (head, HEAD))
    model = small(include_top=False)
    (_, note) = load(model, path)
    assert note == f"skipped the classifier of 5 classes in {path.name}"
    np.testing.assert_array_equal(
        model.get_layer("layer3_0_conv2").kernel,
        donor.get_layer("layer3_0_conv2").kernel,
    )


@pytest.mark.parametrize(
    "extra",
    [
        {"head.weight": HEAD["weight"]},
        {"head.weight": HEAD["weight"], "head.bias": np.ones(6, "f4")},
        {"head.weight": HEAD["weight"], "tail.bias": HEAD["bias"]},
        {"head.weight": np.ones((5, 128, 1, 1), "f4"), "head.bias": HEAD["bias"]},
        {"optimizer.state": np.ones(3, "f4")},
        {"a.bias": HEAD["bias"]},
        {f"{n}.{k}": v for n in ("head.0", "head.2") for k, v in HEAD.items()},
    ],
)
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_other_tensors_outside_of_the_prefix_are_refused(path, extra, prefix):
    tensors = without_classifier(load_file(path))
    write(path, (prefix, tensors), ("", extra))
    refused(path, "unknown tensor", min(extra), model=small(include_top=False))


def test_a_network_under_two_prefixes_is_refused(path):
    tensors = load_file(path)
    write(path, ("model.", tensors), ("ema.", tensors))
    refused(path, "2 times", "'ema.', 'model.'")


def test_what_is_missing_is_named_with_its_prefix(path):
    tensors = load_file(path)
    del tensors["bn1.bias"]
    write(path, ("module.", tensors))
    refused(path, "lacks tensor 'module.bn1.bias';")


def test_names_without_a_common_prefix_are_refused(path):
    tensors = load_file(path)
    names = sorted(tensors)
    halves = [{name: tensors[name] for name in names[i::2]} for i in (0, 1)]
    write(path, ("module.", halves[0]), ("", halves[1]))
    refused(path, "lacks tensor")


def test_names_that_fit_as_they_are_have_no_prefix():
    names = ["conv.weight", "ema.conv.weight"]
    assert prefixes.find(PATH, names, {"conv.weight"}) == ""
    assert prefixes.find(PATH, [], {"conv.weight"}) == ""
    assert prefixes.find(PATH, ["other"], {"conv.weight"}) == ""


def test_a_prefix_ends_in_a_dot():
    names = ["a.myconv.weight"]
    assert prefixes.find(PATH, names, {"conv.weight"}) == ""


def test_of_two_prefixes_that_fit_equally_well_the_first_is_taken():
    """In the order of the file, whatever order sets have in this process."""
    expected = {"x", "y", "z"}
    for first in "abcdefgh":
        prefixes_ = sorted("abcdefgh", key=lambda letter: letter != first)
        names = [f"{letter}.{name}" for letter in prefixes_ for name in "xy"]
        assert prefixes.find(PATH, names, expected) == f"{first}."


def test_many_fitting_prefixes_are_abbreviated():
    names = [f"{i}.a" for i in range(9)]
    with pytest.raises(
        errors.UsageError, match=r"9 times.*'0\.', '1\.', '2\.', '3\.';"
    ):
        prefixes.find(PATH, names, {"a"})
