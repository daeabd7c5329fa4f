"""Several devices of one machine that share each batch of a training.

    strategies    --strategy and --sync_batch_norm: names, help, what contradicts them
    devices       the devices, and the model that trains on all of them
    shares        which part of a batch a device of TensorFlow computes, and its weight
    mirrored      the model on TensorFlow: a copy on each device
    sharded       the model on JAX: one program over all devices

The batch of all devices together is the one that one device would get. Importing this
package, `strategies` and `shares` does not import Keras.
"""
