"""Which statistics should normalise the inputs of a fine-tuned CNN?

The packages, in the order in which they may import one another:

    errors, text    exceptions whose message is all a user needs; tables, durations
    system          files, locks, Keras's set-up
    normalization   the settings, channel statistics, and their Keras layers
    datasets        the data sets, in memory or mapped from a file
    backbones       the networks and their pre-trained weights
    training        one fine-tuning in memory: model, pipeline, recipe, loop
    diagnosis       which statistics to take, before training
    runs            one run, its folder, and the contract of what is in it
    sweeps          many runs: the grid, estimates, the runner
    export          a run's model elsewhere: formats, verification, prediction
    analysis        what runs show: effects, tests, power, verdicts; published numbers
    report          words and tables

Importing this package, or any of these, does not import Keras or TensorFlow.
"""

__version__ = "0.3.0"
