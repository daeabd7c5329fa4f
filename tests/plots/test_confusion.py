"""The figure of a confusion matrix, at all sizes."""

import numpy as np
import pytest

from plots import confusion, style


@pytest.mark.parametrize(("classes", "named"), [(3, True), (40, True), (70, False)])
def test_classes_are_named_and_shares_written_where_there_is_room(
    classes, named, tmp_path
):
    names = [f"${n}_{'long' * 20}" for n in range(classes)]
    counts = np.eye(classes, dtype=int) * 3
    counts[0, 1], counts[2, 2] = 1, 0  # The last one has no images.
    figure = confusion.confusion_figure(names, counts)
    style.save(figure, tmp_path / "confusion.png")
    ax = figure.axes[0]
    assert any(label.get_text()[:3] == "$1_" for label in ax.get_yticklabels()) == named
    written = [text.get_text() for text in ax.texts]
    assert written == (["75", "25", "100"] if classes == 3 else [])
