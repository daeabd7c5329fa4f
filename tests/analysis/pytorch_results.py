"""Files like those that the PyTorch study's code writes."""

import json


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def write_pytorch_result(root, folder, accuracy=0.5):
    write(root / folder / "best_results.json", {"best_epoch": 3, "best_acc": accuracy})
