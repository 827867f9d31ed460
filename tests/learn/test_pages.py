"""Tables of text and HTML pages."""

import io

import jinja2
import numpy as np
import pytest
from PIL import Image

from protege.learn import tables
from protege.learn.pages import data_uri, figure, heat_map, png, render


def test_a_table_shows_models_side_by_side_and_a_dash_for_what_is_missing():
    results = {"mine": {"f1": 0.5, "frames": 1200}, "yours": {"swap": {"effect": 2.0}, "f1": None}}
    rows = tables.rows(results, {"F1": ("f1",), "frames": ("frames",), "swap": ("swap", "effect")})
    assert tables.aligned(rows).splitlines() == [
        "         mine  yours",
        "F1      0.500      -",
        "frames  1,200      -",
        "swap        -  2.000",
    ]


def test_a_path_through_what_is_no_object_leads_nowhere():
    assert tables.at({"swap": 3}, ("swap", "effect")) is None


def test_a_page_escapes_what_it_is_told_and_refuses_what_it_is_not():
    values = {"name": "<b>", "table": "1", "confusion": "", "keys": "", "calibration": "", "worst": []}
    values |= {"momentary": {}, "near": 2, "look": {}}
    page = render("training/page.html.jinja", **values)
    assert "<title>Scores of &lt;b&gt;</title>" in page
    assert page.rstrip().endswith("</html>")
    with pytest.raises(jinja2.UndefinedError, match="table"):
        render("training/page.html.jinja", **{name: value for name, value in values.items() if name != "table"})


def test_a_figure_is_a_png_and_a_data_uri():
    pytest.importorskip("matplotlib")
    drawn = figure((2, 1), "vision")
    heat_map(drawn.subplots(), np.eye(2), np.array([["1", ""], ["", "1"]]), (["a", "b"], ["a", "b"]), ("true", "said"))
    with Image.open(io.BytesIO(png(drawn))) as image:
        assert image.size == (200, 100)
    assert data_uri(b"abc") == "data:image/png;base64,YWJj"
