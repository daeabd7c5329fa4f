"""One fine-tuning in memory: the model, the images, the recipe and the loop.

    classifier          normalization + backbone + head, on raw pixels
    data                batches of images: augmentation, the tf.data pipeline
    recipe              optimizer, the cosine stepped once per epoch, cross-entropy
    loop                epochs, evaluations, state to resume from
    progress            a bar with the time left, and a line per epoch
    training_copy       the copy of a model that is trained
    regimes             which of its layers are trained
    recalibration       batch normalization's statistics, estimated again
    layers              the copy's layers that are not stock Keras layers
    adam                Adam as PyTorch computes it
    dispatch            several devices that share each batch, several steps in a call
    environment         device, precision, versions, determinism
    pretraining         a network of our own from scratch
    epochs              one epoch's row of a history
    seeds               one seed, split once into data and model seeds

Nothing here knows about run folders. All modules but `epochs`, `seeds`,
`regimes`, `data.names`, `dispatch.strategies` and `dispatch.shares` import TensorFlow.
"""
