"""HTML pages with everything in them: templates that extend `base.html.jinja`, figures and pictures as data URIs."""

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from protege.errors import MissingExtra

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


STYLE: Final = Path(__file__).with_name("page.css")
"""The one stylesheet: inside the pages that are files of their own, and served by the studio."""


def render(template: str, **values: object) -> str:
    """The text of a page. template: its path inside the package, such as "training/page.html.jinja"; a name that it
    uses and `values` lacks is an error.
    """
    return _pages().get_template(template).render(values)


@cache
def _pages() -> "Environment":
    """Kept, so that a template is compiled once."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("protege", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def figure(size: tuple[float, float], extra: str) -> "Figure":
    """A matplotlib figure of so many inches, without a window and without pyplot's global state.

    Raises MissingExtra that names `extra`, the caller's, where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", extra) from None
    return Figure(figsize=size, dpi=100, layout="constrained")


def heat_map(
    axes: "Axes",
    parts: NDArray[np.floating],
    texts: NDArray[np.str_],
    names: tuple[Sequence[str], Sequence[str]],
    labels: tuple[str, str],
) -> None:
    """Draw a matrix of parts (0 to 1) in shades of blue, a text in each cell. names, labels: of rows and columns."""
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), text in np.ndenumerate(texts):
        color = "white" if parts[row, column] > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_yticks(range(len(names[0])), names[0])
    axes.set_xticks(range(len(names[1])), names[1], rotation=45, ha="right")
    axes.set_ylabel(labels[0])
    axes.set_xlabel(labels[1])


def png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """kind: the media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
