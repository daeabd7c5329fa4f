"""How training steps reach the device, or several devices of one machine.

    strategies    --strategy and --sync_batch_norm: names, help, what contradicts them
    devices       the devices, and the model that trains on all of them
    shares        which part of a batch a device of TensorFlow computes, and its weight
    mirrored      the model on TensorFlow: a copy on each device
    sharded       the model on JAX: one program over all devices
    several_steps a model that takes several steps in one call of the device

The batch of all devices together is the one that one device would get. Importing this
package, `strategies` and `shares` does not import Keras.
"""
