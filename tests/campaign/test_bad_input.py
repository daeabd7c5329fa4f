"""Whatever files and flags contain, they are read or refused in one line."""

import contextlib
import io
import json
import os
import warnings

import h5py
import keras
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.support import flags
from normtest_tf import errors, runs
from normtest_tf.analysis import published, results
from normtest_tf.backbones import weights
from normtest_tf.datasets import images
from normtest_tf.export import prediction
from normtest_tf.runs.folder import PLAN, read_plan
from tests.datasets import helpers
from tests.helpers.fake_results import write_run
from tests.training.helpers import linear_model

pytestmark = pytest.mark.campaign

few = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,  # The same examples every time.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


@contextlib.contextmanager
def refused_in_one_line():
    """Suppresses `UsageError`, after checking that its message is presentable."""
    message = ""
    try:
        yield
    except errors.UsageError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 3000
    assert "object at 0x" not in message


@st.composite
def corruptions(draw):
    """Draws a function that changes some bytes or truncates them."""
    cut = draw(st.none() | st.floats(0, 1))
    changes = draw(
        st.lists(
            st.tuples(st.floats(0, 1), st.integers(1, 255), st.booleans()), max_size=8
        )
    )

    def corrupt(data):
        changed = bytearray(data)
        if not data:
            return data
        for place, value, early in changes:
            length = min(200, len(changed)) if early else len(changed)
            changed[int(place * (length - 1))] ^= value
        return bytes(changed if cut is None else changed[: int(cut * len(changed))])

    return corrupt


@few
@given(st.lists(st.text(max_size=12), max_size=4))
def test_a_list_in_a_flag_is_parsed_or_refused(values):
    with refused_in_one_line():
        seeds = flags.parse_seeds(values)
        assert seeds == [int(value) for value in values]
    with refused_in_one_line():
        config = runs.RunConfig(pretrain_mean=values, pretrain_std=values)
        statistics = config.resolved.network.pretraining.statistics
        assert list(statistics.mean) == [float(value) for value in values]


@few
@given(st.text(max_size=300))
def test_a_name_in_a_flag_is_known_or_refused(name):
    for field in ("dataset", "model", "weights", "normalization", "keep"):
        with refused_in_one_line():
            assert runs.RunConfig(**{field: name}).resolved


@few
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.text('0123456789.,epoch\n"-+einfa', max_size=200).map(str.encode)
)
def test_a_history_is_read_or_refused(tmp_path, content):
    run = runs.RunFolder(tmp_path)
    run.history.write_bytes(content)
    with refused_in_one_line():
        for row in run.read_history():
            assert all(isinstance(value, int | float) for value in row.values())


FILES = st.sampled_from(["history.csv", "config.json", "result.json", "failed.json"])


@settings(few, max_examples=200)
@given(corruptions() | JSON, FILES)
def test_changed_results_are_read_or_refused(tmp_path_factory, change, name):
    root = tmp_path_factory.mktemp("results")
    path = write_run(root) / name
    write_run(root, seed=2)
    content = path.read_bytes() if path.exists() else b"{}"
    if isinstance(change, dict) and name.endswith("json"):
        change = json.loads(content) | change
    changed = change(content) if callable(change) else json.dumps(change).encode()
    path.write_bytes(changed)
    with refused_in_one_line():
        for run in results.read(root).runs:
            assert 0 <= run.result.final_test_accuracy <= 1


@few
@given(JSON)
def test_a_plan_is_read_or_refused(tmp_path, value):
    for content in (value, {"runs": value}):
        (tmp_path / PLAN).write_text(json.dumps(content))
        with refused_in_one_line():
            assert all(isinstance(name, str) for name in read_plan(tmp_path))


@few
@given(JSON | st.fixed_dictionaries({"best_acc": JSON}))
def test_a_folder_of_the_pytorch_study_is_read_or_refused(tmp_path, value):
    folder = tmp_path / "saved_model" / "CIFAR10" / "resnet18-finetune"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "best_results.json").write_text(json.dumps(value))
    with refused_in_one_line():
        published.load(tmp_path / "saved_model")


def image_bytes(mode, image_format, **options):
    data = io.BytesIO()
    PIL.Image.new(mode, (9, 7)).save(data, image_format, **options)
    return data.getvalue()


FRAMES = {"save_all": True, "append_images": [PIL.Image.new("RGB", (9, 7), "red")]}
IMAGES = {
    "grey": image_bytes("L", "PNG"),
    "palette": image_bytes("P", "PNG"),
    "transparent": image_bytes("RGBA", "PNG"),
    "16-bit": image_bytes("I;16", "PNG"),
    "animated": image_bytes("RGB", "PNG", **FRAMES),
    "jpeg": image_bytes("RGB", "JPEG"),
    "cmyk": image_bytes("CMYK", "JPEG"),
    "gif": image_bytes("P", "GIF"),
    "bmp": image_bytes("RGB", "BMP"),
    "tiff": image_bytes("RGB", "TIFF", compression="tiff_lzw"),
    "webp": image_bytes("RGB", "WEBP"),
    "moving": image_bytes("P", "GIF", **FRAMES),
    "empty": b"",
}


@few
@given(st.sampled_from(list(IMAGES)), corruptions())
def test_a_corrupt_image_is_decoded_or_refused(kind, corrupt):
    with refused_in_one_line(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on odd but readable files.
        image = images.decode(corrupt(IMAGES[kind]), "a.png", image_size=None)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[-1] == 3
        assert kind not in ("16-bit", "empty")


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=20
).filter(lambda name: name.strip(". "))


@few
@given(st.lists(st.tuples(NAMES, NAMES, st.booleans()), max_size=4))
def test_a_folder_tree_is_read_or_refused(tmp_path_factory, entries):
    root = tmp_path_factory.mktemp("tree")
    for split in ("train", "test"):
        for folder, name, link in entries:
            path = root / split / folder / (name + ".png")
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                if link:
                    path.parent.joinpath(name).symlink_to(root / split)
                else:
                    path.write_bytes(IMAGES["grey"])
    with refused_in_one_line():
        dataset = helpers.load_folder(root)
        assert len(dataset.train_images) > 0


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    linear_model().save(path)
    return path.read_bytes()


@settings(few, max_examples=40)
@given(corruptions())
def test_a_corrupt_keras_file_is_loaded_or_refused(tmp_path, keras_file, corrupt):
    path = tmp_path / "model.keras"
    path.write_bytes(corrupt(keras_file))
    with refused_in_one_line(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prediction.load_model(path)


def test_a_model_that_contains_code_is_refused(tmp_path):
    ran = os.fspath(tmp_path / "ran")

    def leaves_a_trace(pixels, ran=ran):
        open(ran, "w").close()
        return pixels

    layers = [keras.Input((4, 4, 3)), keras.layers.Lambda(leaves_a_trace)]
    path = tmp_path / "model.keras"
    keras.Sequential(layers).save(path)
    os.unlink(ran)
    with pytest.raises(errors.UsageError, match="custom class 'Lambda'"):
        prediction.load_model(path)
    assert not os.path.exists(ran)


def test_an_h5_file_with_links_is_refused(tmp_path):
    path = tmp_path / "a.weights.h5"
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        kernel = "layers/dense/vars/0"
        del file[kernel]
        file[kernel] = h5py.ExternalLink(os.fspath(tmp_path / "secret.h5"), "/x")
    with pytest.raises(errors.UsageError):
        weights.load_file(model, path)
