"""Pre-trained weights files: finding, reading and writing them.

    sources              fetch (the file of a tag), load_file (any format)
    local_files          the user's own files: which one a path means, its digest
    formats              what a file is, by its name and its content
    safetensors_files    timm's layout, in .safetensors
    tensor_files         the tensors of one .safetensors file, or of several
    shards               the index of several .safetensors files
    prefixes             what a framework put in front of all tensors' names
    safetensors_header   what is wrong with a .safetensors file that can't be opened
    h5_files             Keras's two layouts, in .weights.h5 and .h5
    keras_files          the network inside a .keras file
    keras_archive        a .keras file itself, loaded without its code
    mismatch             errors that name what differs between a file and a model

Importing this package does not import Keras.
"""

from normtest_tf.backbones.weights.formats import HDF5, KERAS, SUFFIXES, named
from normtest_tf.backbones.weights.local_files import locate, sha256
from normtest_tf.backbones.weights.sources import fetch, keras_download, load_file

__all__ = [
    "HDF5",
    "KERAS",
    "SUFFIXES",
    "fetch",
    "keras_download",
    "load_file",
    "locate",
    "named",
    "sha256",
]
