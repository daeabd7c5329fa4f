"""What the package needs from the operating system.

files         files and folders that are either complete or absent; JSON
json_values   values read from JSON files, checked
locks         one process at a time may write to a folder
signals       stopping between two training steps on SIGTERM and Ctrl-C
workers       function calls in a separate process
hosts         whether a server can be reached
memory        the peak memory use of this process
quiet         TensorFlow without its start-up log
"""
