"""What the package needs from the operating system.

files           files and folders that are either complete or absent; JSON
contents        what files really hold, whatever their names say
json_values     values read from JSON files, checked
locks           one process at a time may write to a folder
signals         stopping in an orderly way on SIGTERM and Ctrl-C
streams         stdout and stderr that never end a program with a traceback
workers         function calls in a separate process
hosts           whether a server can be reached
memory          the peak memory use of this process
quiet           TensorFlow and Keras without their start-up logs
keras_settings  what Keras must be set to, whatever keras.json says
"""
