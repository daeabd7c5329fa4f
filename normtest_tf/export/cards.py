"""Model cards: the README.md of an export, with the Hugging Face Hub's front matter."""

from __future__ import annotations

from typing import Any

from normtest_tf import datasets
from normtest_tf.export import evaluation
from normtest_tf.normalization import SETTINGS
from normtest_tf.runs.folder import BEST_TEST
from normtest_tf.text import counted, markdown_table

README = "README.md"
_USE = {
    "keras": """import keras

model = keras.saving.load_model("hf://OWNER/NAME")  # or this folder
outputs = model.predict(images)  # raw uint8 RGB [n, {height}, {width}, 3], 0 to 255""",
    "timm": """import timm

model = timm.create_model("hf-hub:OWNER/NAME", pretrained=True).eval()
config = timm.data.resolve_model_data_config(model)
transform = timm.data.create_transform(**config)""",
}


def text(description: dict[str, Any], library: str) -> str:
    """Returns the card of a run's model, from its metadata, for `keras` or `timm`."""
    run, image = description["run"], description["image"]
    pretraining, shift = description["pretraining"], image.get("shift", "none")
    height, width, _ = image["shape"]
    images, epochs = run["test_images"], counted(run["epochs"], "epoch")
    tested = evaluation.share(round(run["test_accuracy"] * images), images)
    licence, url = (pretraining.get(key, "") for key in ("licence", "url"))
    accuracy = f"{evaluation.in_words(tested)} images (95% interval)"
    if run.get("keep") == BEST_TEST.name:
        accuracy += f"; too high, since epoch {run['kept_epoch']} was chosen on them"
    rows = [
        ("", ""),
        ("test accuracy", accuracy),
        ("data", f"{run['dataset']}, {run['train_images']:,} training images"),
        ("trained", f"{run['train']}, {epochs}, seed {run['seed']}"),
        ("started from", f"{run['weights']}, licence {licence} {url}".strip()),
        ("images", f"RGB {width}x{height}; resize {image['resize']}, shift {shift}"),
        ("normalization", _normalization(description)),
        ("outputs", description["output"]),
    ]
    return f"""---
{_front_matter(description, library, tested)}
---

# {run["model"]} fine-tuned on {run["dataset"]}

{markdown_table(rows)}

```python
{_USE[library].format(height=height, width=width)}
```

Classes: {", ".join(description["class_names"])}. By {description["written_by"]}.
"""


def _front_matter(
    description: dict[str, Any], library: str, tested: dict[str, Any]
) -> str:
    """Returns what the Hub reads, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    run, pretraining = description["run"], description["pretraining"]
    kind, _, repository = pretraining.get("origin", "").partition(":")
    task, name = "image-classification", run["dataset"]
    result = EvalResult(task, name, name, "accuracy", tested["accuracy"])
    result.metric_name = f"accuracy on {tested['images']} test images"
    return ModelCardData(
        license=pretraining.get("licence", "unknown").replace("not stated", "unknown"),
        library_name=library,
        pipeline_tag=task,
        base_model=repository if kind == "hf" else None,
        datasets=[name] if name in datasets.DATASETS else None,
        model_name=f"{run['model']}-{description['normalization']}",
        eval_results=[result],
    ).to_yaml()


def _normalization(description: dict[str, Any]) -> str:
    """Says how inputs are normalised, with the constants."""
    name, found = description["normalization"], description["statistics"]
    line = f"`{name}`: {SETTINGS[name].formula}"
    if found is None:
        return line
    mean, std = (", ".join(f"{x:.6g}" for x in found[k]) for k in ("mean", "std"))
    return f"{line}; mean {mean}; std {std}"
