"""The layers of the copy that is trained, where they are not stock Keras layers.

    batch_norm     trains as PyTorch's batch normalization, by a fused kernel
    convolution    convolutions of small maps, as matrix products
    frozen         what computes as in evaluation while the rest trains

The first two have the arguments and variables of the Keras layers that they replace.
Importing this package imports Keras.
"""
