"""The program statistics on a folder of photographs, against NumPy."""

import json

import keras
import numpy as np
import PIL.Image

from tests.datasets import helpers
from tests.helpers import programs


def test_images_of_any_size_in_any_folders_are_measured(tmp_path):
    root = helpers.write_photographs(tmp_path / "pets", 5)
    (root / "cat" / "0.png").rename(root / "loose.png")
    helpers.write_image(tmp_path / "bad" / "0.png")
    (tmp_path / "bad" / "1.png").write_bytes(b"")
    for name in ("train/cat/0", "train/dog/0", "train/none", "test/cat/0"):
        helpers.write_image(tmp_path / "split" / f"{name}.png")
    commands = [
        ["--dataset=folder:pets", "--json=all.json"],
        ["--dataset=folder:pets", "--json=part.json", "--test_fraction=0.3"],
        ["--dataset=folder:split", "--json=split.json"],
        ["--dataset=folder:bad"],
        ["--dataset=folder:missing"],
        ["--dataset=folder:pets", "--json=pets"],
        ["--dataset=folder:pets", "--train_examples=11"],
    ]
    commands = [["statistics", *flags] for flags in commands]
    done, part, split, *refused = programs.run_all(commands, cwd=tmp_path)
    assert "left out 1 outside the class folders" in split.stdout
    assert json.loads((tmp_path / "split.json").read_text())["images"] == 2
    programs.assert_refused(refused[0], "1 of 2 images in")
    programs.assert_refused(refused[1], "No such file")
    programs.assert_refused(refused[2], "can't use pets: Is a directory")
    programs.assert_refused(refused[3], "train_examples must be from 1 to 10")
    assert (done.returncode, done.stderr, done.heavy) == (0, "", []), done.stderr

    images = [np.asarray(PIL.Image.open(path)) / 255 for path in root.rglob("*.png")]
    pixels = np.concatenate([image.reshape(-1, 3) for image in images])
    mean, std = pixels.mean(axis=0), pixels.std(axis=0)
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["images"] == 10
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(found["std"], std, rtol=1e-12)
    stds = np.mean([image.std((0, 1)) for image in images], axis=0)
    np.testing.assert_allclose(found["std_mean_of_images"], stds, rtol=1e-12)
    assert part.returncode == 0, part.stderr
    note = "folder-pets has no splits: these are all of its images"
    assert [note in each.stdout for each in (done, part)] == [True, False]
    assert json.loads((tmp_path / "part.json").read_text())["images"] == 6

    # The lines to paste normalise as NumPy does.
    _, torch, _, layer, _, given = done.stdout.strip().splitlines()[-6:]
    flags = dict(flag[2:].split("=") for flag in given.split())
    assert flags["normalization"] == "given"
    for name, values in (("mean", mean), ("std", std)):
        shown = [float(x) for x in flags[name].split(",")]
        np.testing.assert_allclose(shown, values, atol=6e-5)
    torch = eval(torch.strip().replace("transforms.Normalize", "dict"))
    np.testing.assert_allclose(torch["mean"], mean, atol=6e-5)
    np.testing.assert_allclose(torch["std"], std, atol=6e-5)
    outputs = eval(layer.strip(), {"keras": keras})(255 * pixels[np.newaxis])
    np.testing.assert_allclose(outputs[0], (pixels - mean) / std, atol=1e-4)
