"""Where images come from, one module per kind of data set.

digits          scikit-learn's digits, which need no download
tfds_sets       CIFAR10, CIFAR100 and SVHN, through TensorFlow Datasets
tfds_any        any other image classification set of TensorFlow Datasets
tfds_builders   finding and preparing sets of TensorFlow Datasets
tfds_records    their encoded images, in the files or in memory
tiny_imagenet   Tiny ImageNet, from its archive
folders         a folder of images: `folder:PATH`
csv_files       a table of files and labels: `csv:PATH`
"""
