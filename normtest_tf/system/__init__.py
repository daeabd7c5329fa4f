"""What the package needs from the operating system.

files     files and folders that are either complete or absent; JSON
locks     one process at a time may write to a folder
signals   SIGTERM and Ctrl-C noted, to stop between two training steps
workers   function calls in a separate process
hosts     whether a server can be reached
memory    the peak memory use of this process
quiet     TensorFlow without its start-up log
"""
