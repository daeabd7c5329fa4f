"""What the package needs from the operating system.

files        files that are either complete or absent, JSON, one writer per folder;
             memory that is free, hosts that answer
keras_setup  Keras and TensorFlow, imported silently and set to what runs need
"""
