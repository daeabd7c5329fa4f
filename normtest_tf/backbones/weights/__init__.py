"""Pre-trained weights files: finding, reading and writing them.

    sources              fetch (the file of a tag), load_file (any format)
    safetensors_files    timm's layout, in .safetensors
    safetensors_header   what is wrong with a .safetensors file that can't be opened
    h5_files             Keras's two layouts, in .weights.h5 and .h5
    mismatch             errors that name what differs between a file and a model

Importing this package does not import Keras.
"""

from normtest_tf.backbones.weights.sources import (
    SUFFIXES,
    fetch,
    keras_download,
    load_file,
)

__all__ = ["SUFFIXES", "fetch", "keras_download", "load_file"]
