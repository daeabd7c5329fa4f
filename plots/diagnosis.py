"""A diagnosis' figure: distances from the stored statistics by depth."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normtest_tf.diagnosis import Explanation
from plots import style


def distances_figure(found: Explanation) -> Figure:
    """Draws the distances with stored statistics, and what each setting adds."""
    figure, ((stored, extra),) = style.new_grid(1, 2, 5.5, 3.8)
    draw_distances(stored, found)
    draw_extra(extra, found)
    stored.legend(frameon=False, fontsize=8)
    return figure


def draw_distances(ax: Axes, found: Explanation) -> Axes:
    """Draws every setting's distance from the stored statistics by depth."""
    depths = range(1, len(found.layers) + 1)
    for setting in found.settings:
        _draw(ax, depths, [layer.total for layer in setting.distances], setting.name)
    ax.set(
        title="Distance from the stored statistics",
        xlabel="batch normalization, by depth",
        ylabel="distance",
    )
    ax.set_ylim(bottom=0)
    return style.decorate(ax)


def draw_extra(ax: Axes, found: Explanation) -> Axes:
    """Draws the same less the control's, which is the images' part."""
    depths = range(1, len(found.layers) + 1)
    control = found.setting(found.control).distances
    for setting in found.settings:
        pairs = zip(setting.distances, control, strict=True)
        _draw(ax, depths, [own.total - base.total for own, base in pairs], setting.name)
    ax.set(
        title=f"The same, less {found.control}'s",
        xlabel="batch normalization, by depth",
        ylabel="difference",
    )
    return style.decorate(ax)


def _draw(ax: Axes, depths: range, values: list[float], name: str) -> None:
    marker = "o" if len(depths) < 30 else None
    ax.plot(
        depths, values, label=name, color=style.color(name), marker=marker, markersize=3
    )
