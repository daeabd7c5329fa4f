import pytest
from matplotlib import pyplot as plt

from normtest_tf.normalization import SETTINGS
from plots import style
from tests.helpers import programs


@pytest.mark.parametrize("name", ["figure.png", "figure.svg", "figure.pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path, name):
    for folder in ("first", "second"):
        figure, grid = style.new_grid(1, 2, 2, 2)
        grid[0, 0].plot([1, 2])
        style.save(figure, tmp_path / folder / name)
        assert not plt.fignum_exists(figure.number)
    first, second = ((tmp_path / f / name).read_bytes() for f in ("first", "second"))
    assert first == second


def test_settings_have_colours_of_their_own():
    assert len({style.color(name) for name in SETTINGS}) == len(SETTINGS)


def test_figures_do_not_depend_on_the_users_settings(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: black\n")
    code = "from plots import style; import matplotlib as m\n"
    code += "print(m.get_backend(), m.rcParams['text.usetex'])"
    settings = {
        "MPLCONFIGDIR": str(tmp_path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    done = programs.run_code(code, env=settings)
    assert done.stdout.lower() == "agg false\n"
