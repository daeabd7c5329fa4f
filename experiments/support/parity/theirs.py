"""PyTorch's side: timm's networks, torch's Adam, torchvision's transforms."""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
import torch

from experiments.support import pytorch
from experiments.support.parity import cases

timm = pytorch.import_module("timm")

Arrays = dict[str, np.ndarray]


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a network's tensors, counters left out."""
    state = timm.create_model(name, num_classes=cases.CLASSES).state_dict()
    return {k: tuple(v.shape) for k, v in state.items() if v.is_floating_point()}


def network(
    name: str, dtype: torch.dtype = torch.float64, *, damped: bool = False
) -> torch.nn.Module:
    """Returns one of timm's networks with the seeded weights."""
    model = timm.create_model(name, num_classes=cases.CLASSES).to(dtype)
    weights = cases.tensors(shapes(name), damped=damped)
    state = {k: torch.tensor(v, dtype=dtype) for k, v in weights.items()}
    missing = model.load_state_dict(state, strict=False).missing_keys
    assert all(key.endswith("num_batches_tracked") for key in missing)
    return model


def logits(name: str, size: int, dtype: str = "float64") -> Arrays:
    """Returns the logits of two images in evaluation mode."""
    torch_dtype = getattr(torch, dtype)
    model = network(name, torch_dtype).eval()
    images, _ = cases.batch(size, 2)
    with torch.no_grad():
        return {"logits": model(_images(images).to(torch_dtype)).numpy()}


def training_step(name: str, size: int) -> Arrays:
    """Returns logits, running statistics and gradients of one training step."""
    model = network(name).train()
    images, labels = cases.batch(size, cases.step_images(size))
    outputs = model(_images(images))
    loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(labels))
    loss.backward()
    running = {k: v for k, v in model.state_dict().items() if "running" in k}
    gradients = {k: v.grad for k, v in model.named_parameters() if v.grad is not None}
    return {
        "logits": outputs.detach().numpy(),
        "loss": np.array(loss.item()),
        **{f"running/{k}": v.numpy() for k, v in running.items()},
        **{f"gradient/{k}": v.numpy() for k, v in gradients.items()},
    }


def training(name: str) -> Arrays:
    """Returns the loss of every step and all weights after the last."""
    case = cases.TwentySteps()
    model = network(name, damped=True).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=case.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, case.epochs)
    batches = case.batches()
    steps = len(batches) // case.epochs
    losses = []
    for step, (images, labels) in enumerate(batches, start=1):
        optimizer.zero_grad()
        outputs = model(_images(images))
        loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % steps == 0:
            schedule.step()
    state = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
    return {
        "losses": np.array(losses),
        **{f"weight/{k}": v.numpy() for k, v in state.items()},
    }


def exported(name: str) -> Arrays:
    """Returns the logits of raw images from an export that timm has loaded."""
    from experiments.support.parity import exports  # Needs Keras.

    with tempfile.TemporaryDirectory() as parent:
        folder = pathlib.Path(parent) / "timm"
        exports.write(name, folder)
        model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    mean, std = (np.array(model.pretrained_cfg[key]) for key in ("mean", "std"))
    inputs = _images((exports.images() / 255 - mean) / std)
    with torch.no_grad():
        return {"logits": model.double().eval()(inputs).numpy()}


def pixels() -> Arrays:
    """Returns cropped, flipped and normalised images, `[n, 32, 32, 3]`."""
    functional = pytorch.import_module("torchvision.transforms.functional")
    found = []
    for image, (top, left), flip in zip(*cases.raw_images(), strict=True):
        tensor = torch.tensor(image).permute(2, 0, 1)
        tensor = functional.crop(functional.pad(tensor, 4), top, left, 32, 32)
        if flip:
            tensor = functional.hflip(tensor)
        tensor = functional.convert_image_dtype(tensor, torch.float32)
        tensor = functional.normalize(tensor, cases.MEAN, cases.STD)
        found.append(tensor.permute(1, 2, 0).numpy())
    return {"pixels": np.stack(found)}


def heads(name: str) -> Arrays:
    """Returns kernel and bias of a new head with 1,000 classes."""
    torch.manual_seed(0)
    head = timm.create_model(name, num_classes=1000).get_classifier()
    return {"kernel": head.weight.detach().numpy(), "bias": head.bias.detach().numpy()}


def _images(images: np.ndarray) -> torch.Tensor:
    """Returns images in PyTorch's layout, channels first."""
    return torch.tensor(images.transpose(0, 3, 1, 2))
