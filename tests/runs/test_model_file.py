"""What is written of a model: equal bytes, in words that every Keras 3 knows."""

import json
import zipfile

import keras
import numpy as np
import pytest

from normtest_tf.backbones.registry import CAFFE
from normtest_tf.normalization import SETTINGS, normalization_layer
from normtest_tf.runs import model_file
from tests.export.helpers import IMAGES, SHAPE, build, outputs

# Of training, or unknown to Keras 3.10.
LEFT_OUT = ("_initializer", "_regularizer", "renorm", "quantization_config", "date")


@pytest.mark.parametrize("kind", ["bgr", "instance"])
def test_equal_models_give_equal_files_that_older_versions_load(kind, tmp_path):
    path, contents = tmp_path / "model.keras", []
    for _ in range(2):
        keras.utils.clear_session()  # As every run does.
        layer = SETTINGS["instance"].layer(None, SHAPE)
        if kind == "bgr":
            layer = normalization_layer(CAFFE, SHAPE, "bgr")
        model = build(layer)
        model_file.save(model, path, {"format": 1})
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json").decode()
        text += archive.read("metadata.json").decode()
        assert json.loads(archive.read("normtest_tf.json")) == {"format": 1}
    assert not [word for word in LEFT_OUT if word in text]
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(outputs(loaded), outputs(model, IMAGES))
