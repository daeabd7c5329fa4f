"""Runs an exported model with its own runtime, without this package.

    python runtimes.py FORMAT MODEL IMAGES.npy OUTPUTS.npy

This file is a program of its own, which `verification` runs in a fresh process.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Predict = Callable[["np.ndarray"], "np.ndarray"]  # From images to outputs.

BATCH_SIZE = 32  # The last batch may be smaller, so two sizes are tried.


def load_keras(path: str) -> Predict:
    """Loads a .keras file, or a folder with the same content, with Keras."""
    import keras

    model = keras.models.load_model(path)
    return lambda images: keras.ops.convert_to_numpy(model(images, training=False))


def load_saved_model(path: str) -> Predict:
    """Loads a SavedModel with TensorFlow."""
    import tensorflow as tf

    model = tf.saved_model.load(path)
    return lambda images: model.serve(images).numpy()


def load_onnx(path: str) -> Predict:
    """Loads an ONNX file with onnxruntime; images must be its only input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})[0]


def load_litert(path: str) -> Predict:
    """Loads a .tflite file with LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    (image,) = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()

    def predict(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(image["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return predict


def load_timm(path: str) -> Predict:
    """Loads a folder with timm, and normalises as its `config.json` says."""
    import torch

    try:
        import timm
    except RuntimeError:  # torchvision was built for another device, and is not used.
        for module in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[module]
        operators = "torchvision._meta_registrations"
        sys.modules[operators] = types.ModuleType(operators)
        import timm
    model: Any = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
    mean, std = (
        torch.tensor(model.pretrained_cfg[name]).reshape(3, 1, 1)
        for name in ("mean", "std")
    )

    def predict(images: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            return model((pixels - mean) / std).numpy()

    return predict


LOADERS: dict[str, Callable[[str], Predict]] = {
    "keras": load_keras,
    "keras_folder": load_keras,
    "saved_model": load_saved_model,
    "onnx": load_onnx,
    "litert": load_litert,
    "timm": load_timm,
}


def main(format_name: str, model: str, images: str, outputs: str) -> None:
    """Runs a model on the images of one file, and writes its outputs to another."""
    # Python puts this file's folder first on the path, where its neighbours would
    # shadow other modules of the same name.
    sys.path.pop(0)
    # Importing the package now raises ImportError.
    sys.modules["normtest_tf"] = None  # type: ignore[assignment]
    import numpy as np

    pixels = np.load(images)
    predict = LOADERS[format_name](model)
    batches = [
        predict(pixels[start : start + BATCH_SIZE])
        for start in range(0, len(pixels), BATCH_SIZE)
    ]
    np.save(outputs, np.concatenate(batches))


if __name__ == "__main__":
    main(*sys.argv[1:])
