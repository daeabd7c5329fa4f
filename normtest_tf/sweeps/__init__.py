"""Many runs: the grid, time estimates, and running what remains.

    grid         which runs a sweep consists of, checked before the first one starts
    estimates    how long runs take, from those that are done or from a few steps
    executor     what a sweep needs from an executor, and what its workers do
    local        worker processes of this machine, one for each GPU
    ray_cluster  tasks of a Ray cluster
    runner       runs what remains, on one of the executors

Importing this package imports neither TensorFlow nor Ray.
"""
