"""Tests of normtest_tf.datasets.sources."""
