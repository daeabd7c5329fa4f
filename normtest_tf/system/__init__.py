"""What the package needs from the operating system.

files        files that are either complete or absent, JSON, one writer per folder
workers      function calls in a separate process, and the memory of processes
keras_setup  Keras and TensorFlow, imported silently and set to what runs need
"""
