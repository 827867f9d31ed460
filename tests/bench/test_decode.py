"""python -m bench decode in small: its figures are there, and decoding in every way gives the same chunks."""

import pytest

from bench import decode
from protege.vlm.tiny import SIZES


def test_the_decode_benchmark_reports_every_key(tiny):
    figures = {f.key: f.value for f in decode.run(tiny, chunks=12, big_chunks=0)}
    assert {
        "passes_naive", "passes_no_draft", "passes_draft", "latency_speedup_no_draft", "latency_speedup",
        "identical_chunks", "chunks", "history_identical_chunks", "history_ms_ratio",
    } <= figures.keys()  # fmt: skip
    assert figures["identical_chunks"] == figures["history_identical_chunks"] == figures["chunks"] == 12
    assert figures["passes_no_draft"] == 7


def test_the_large_shape_is_told_apart_into_what_decoding_takes_and_what_comes_before(tiny):
    figures = {f.key: f.value for f in decode.run(tiny, chunks=2, big_chunks=2, big_size=SIZES["nano"])}
    assert figures["big_identical_chunks"] == 2
    assert 0 < figures["big_first_token_share"] < 1
    assert figures["big_speedup_no_draft"] == pytest.approx(
        figures["big_ms_naive"] / figures["big_ms_no_draft"], rel=0.05
    )
    times = decode.Times()
    times.ms |= {"naive": [100.0], "naive_first": [20.0], "no_draft": [30.0], "our_first": [10.0]}
    assert (times.speedup("no_draft"), times.speedup_after_first("no_draft")) == (pytest.approx(10 / 3), 4.0)
