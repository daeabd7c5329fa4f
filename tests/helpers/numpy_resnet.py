"""A residual network of basic blocks in NumPy, by PyTorch's definitions."""

import numpy as np


def convolve(x, kernel, stride):
    """Convolves [n, h, w, c] with [out, in, k, k], padded by k // 2."""
    size = kernel.shape[-1]
    pad = size // 2
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # [n, h, w, c, k, k]
    return np.tensordot(windows, kernel, axes=([3, 4, 5], [1, 2, 3]))


def normalise(x, tensors, name):
    """Applies batch normalization, or that of groups of 4 channels of an image."""
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    if f"{name}.running_var" not in tensors:
        groups = x.reshape(*x.shape[:3], -1, 4)
        mean = groups.mean((1, 2, 4), keepdims=True)
        variance = groups.var((1, 2, 4), keepdims=True)
        groups = (groups - mean) / np.sqrt(variance + 1e-5)
        return groups.reshape(x.shape) * weight + bias
    scale = weight / np.sqrt(tensors[f"{name}.running_var"] + 1e-5)
    return (x - tensors[f"{name}.running_mean"]) * scale + bias


def max_pool(x):
    """Pools 3x3 with stride 2, padded by 1 with -infinity."""
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows[:, ::2, ::2].max((-2, -1))


def block(x, tensors, name, stride):
    y = convolve(x, tensors[f"{name}.conv1.weight"], stride)
    y = np.maximum(normalise(y, tensors, f"{name}.bn1"), 0)
    y = convolve(y, tensors[f"{name}.conv2.weight"], 1)
    y = normalise(y, tensors, f"{name}.bn2")
    if f"{name}.downsample.0.weight" in tensors:
        x = convolve(x, tensors[f"{name}.downsample.0.weight"], stride)
        x = normalise(x, tensors, f"{name}.downsample.1")
    return np.maximum(x + y, 0)


def forward(tensors, x, cifar):
    """Returns logits of images [n, h, w, 3], from tensors under timm's names."""
    x = convolve(x, tensors["conv1.weight"], 2)
    x = np.maximum(normalise(x, tensors, "bn1"), 0)
    if not cifar:
        x = max_pool(x)
    for stage in range(1, 5):
        for index in range(2):
            name = f"layer{stage}.{index}"
            if f"{name}.conv1.weight" in tensors:
                x = block(x, tensors, name, 2 if stage > 1 and index == 0 else 1)
    return x.mean((1, 2)) @ tensors["fc.weight"].T + tensors["fc.bias"]
