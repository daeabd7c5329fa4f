"""Many runs: the grid, time estimates, and running what remains.

    grid        which runs a sweep consists of, checked before the first one starts
    estimates   how long runs take, from those that are done
    probe       how long a run would take on this machine, from a few steps
    execution   what a worker process does: checking inputs, executing a run
    executors   where runs are executed: processes of this machine, or a cluster's
    runner      runs what remains, on one of them

Importing this package does not import TensorFlow; `probe` does.
"""
