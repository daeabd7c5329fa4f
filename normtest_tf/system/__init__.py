"""What the package needs from the operating system.

files        files that are either complete or absent, JSON, one writer per folder
workers      function calls in a separate process
memory       the peak memory use of this process
keras_setup  Keras and TensorFlow, imported silently and set to what runs need
"""
