"""Model cards: the README.md of an export, with the Hugging Face Hub's front matter."""

from __future__ import annotations

from typing import Any

from normtest_tf import datasets
from normtest_tf.export import evaluation
from normtest_tf.normalization import SETTINGS
from normtest_tf.text import markdown_table

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
    run, pretraining = description["run"], description["pretraining"]
    height, width, _ = description["image"]["shape"]
    licence, url = pretraining.get("licence", "unknown"), pretraining.get("url")
    origin = f"trained on {pretraining.get('trained_on', 'unknown')}"
    images, accuracy = run["test_images"], run["test_accuracy"]
    tested = evaluation.share(round(accuracy * images), images)
    rows = [
        ("", ""),
        (
            "test accuracy",
            f"{evaluation.in_words(tested)} test images (95% interval over images), "
            f"epoch {run['kept_epoch']} of {run['epochs']}",
        ),
        ("data set", f"{run['dataset']}, {run['train_images']:,} training images"),
        ("trained", f"{run['train']}, seed {run['seed']}"),
        ("network", f"{run['model']}, from the weights {run['weights']}, {origin}"),
        ("licence of these weights", f"{licence} {url or ''}".strip()),
        ("images", _images(description["image"])),
        ("normalization", _normalization(description)),
        ("outputs", description["output"]),
    ]
    return "\n".join(
        [
            f"---\n{_front_matter(description, library, tested)}---\n",
            f"# {run['model']} fine-tuned on {run['dataset']}\n",
            f"Written by {description['written_by']}.\n",
            f"{markdown_table(rows)}\n",
            f"```python\n{_USE[library].format(height=height, width=width)}\n```\n",
            f"Classes: {', '.join(description['class_names'])}\n",
        ]
    )


def _front_matter(
    description: dict[str, Any], library: str, tested: dict[str, Any]
) -> str:
    """Returns what the Hub reads, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    run, pretraining = description["run"], description["pretraining"]
    kind, _, repository = pretraining.get("origin", "").partition(":")
    task, name = "image-classification", run["dataset"]
    result = EvalResult(
        task_type=task,
        dataset_type=name,
        dataset_name=name,
        metric_type="accuracy",
        metric_name=f"accuracy on {tested['images']} test images",
        metric_value=round(tested["accuracy"], 6),
    )
    data = ModelCardData(
        license=pretraining.get("licence", "unknown"),
        library_name=library,
        pipeline_tag=task,
        tags=[task, "normtest_tf"],
        base_model=repository if kind == "hf" else None,
        datasets=[name] if name in datasets.DATASETS else None,
        model_name=f"{run['model']}-{description['normalization']}",
        eval_results=[result],
    )
    return f"{data.to_yaml()}\n"


def _images(image: dict[str, Any]) -> str:
    """Says what becomes of an image before the model gets it."""
    height, width, _ = image["shape"]
    shift = f", then --shift={image['shift']}" if "shift" in image else ""
    return f"RGB {width}x{height}, of other sizes by `{image['resize']}`{shift}"


def _normalization(description: dict[str, Any]) -> str:
    """Says how inputs are normalised, with the constants."""
    name, found = description["normalization"], description["statistics"]
    line = f"`{name}`: {SETTINGS[name].formula}"
    if found is None:
        return line
    mean, std = (", ".join(f"{x:.6g}" for x in found[k]) for k in ("mean", "std"))
    return f"{line}; mean {mean}; std {std}"
