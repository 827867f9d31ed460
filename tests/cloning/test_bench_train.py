"""Training steps beside PyTorch in small: that both are measured and what is made of it, not how fast they are."""

import torch

from protege.bench import cloning_train
from protege.cloning import train


def test_steps_are_measured_by_turns(tmp_path, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(train, "use_compile_cache", lambda folder: None)  # the tests have their own
    store = cloning_train.episodes(tmp_path / "d.zarr", (16, 24), 16)
    try:
        seconds = cloning_train.steps(str(store), str(tmp_path / "m"), 4, 2)
    finally:
        torch.set_num_threads(threads)
    assert {name: len(turns) for name, turns in seconds.items()} == {"resident": 2, "end_to_end": 2, "torch": 2}
    assert min(min(turns) for turns in seconds.values()) > 0


def test_figures_are_medians_of_ratios_within_a_turn():
    seconds = {"resident": [1.0, 2.0, 4.0], "end_to_end": [1.25, 2.0, 5.0], "torch": [2.0, 1.0, 1.0]}
    efficiency, ratio = cloning_train._of_steps(seconds, 16, 144, 256)
    assert (efficiency.key, efficiency.value, efficiency.good) == ("step_efficiency", 0.8, False)
    assert (ratio.key, ratio.value, ratio.good) == ("ratio_to_pytorch", 0.5, False)
    assert "8.0 samples a CPU second" in efficiency.text
    assert "0.25 to 2.00" in ratio.text
    assert [figure.key for figure in cloning_train._of_steps(seconds, 4, 288, 512)] == [
        "step_efficiency_288",
        "ratio_to_pytorch_288",
    ]
