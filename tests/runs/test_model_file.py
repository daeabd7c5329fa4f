"""What is written of a model: equal bytes, in words that every Keras 3 knows."""

import json
import zipfile

import keras
import numpy as np

from normtest_tf.backbones.registry import CAFFE
from normtest_tf.normalization import normalization_layer
from normtest_tf.runs import model_file
from tests.export.helpers import SHAPE, build, outputs

# Of training, or unknown to Keras 3.10.
LEFT_OUT = ("_initializer", "_regularizer", "renorm", "quantization_config", "date")


def test_equal_models_give_equal_files_that_older_versions_load(tmp_path):
    path, contents = tmp_path / "model.keras", []
    for _ in range(2):
        keras.utils.clear_session()  # As every run does.
        model = build(normalization_layer(CAFFE, SHAPE, "bgr"))
        model_file.save(model, path, {"format": 1})
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    with zipfile.ZipFile(path) as archive:
        parts = [archive.read(name).decode() for name in archive.namelist()[:2]]
        assert json.loads(archive.read("normtest_tf.json")) == {"format": 1}
    assert not [word for word in LEFT_OUT if word in "".join(parts)]
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
