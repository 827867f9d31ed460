"""python -m bench train in small: its figures are there and well-formed; no time is asserted."""

import sys

import pytest

pytest.importorskip("trl")
pytest.importorskip("vizdoom")

from bench import train as bench
from bench import train_bound
from protege.errors import ProtegeError, UserError
from protege.training.data import LabeledData
from tests.training.conftest import label

pytestmark = [
    # peft 0.21 reads an attribute that transformers 5.23 has renamed
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc"),
]


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    return label(tmp_path_factory.mktemp("labeled"))


def keys(figures):
    return {figure.key: figure.value for figure in figures}


def test_loading_is_compared_on_equal_tensors(tiny, tmp_path):
    found = keys(bench.loading(tiny, tmp_path, 24))
    assert found["loader_speedup"] > 0
    assert found["max_pixel_difference"] <= 1e-5


def test_memory_is_measured_in_processes_of_their_own(tiny, tmp_path):
    found = keys(bench.memory(tiny, tmp_path, 10, 30))
    assert set(found) == {"peak_mb_1k", "peak_mb_20k", "peak_mb_20k_origin"}
    assert found["peak_mb_20k"] < 1.3 * found["peak_mb_1k"]
    with pytest.raises(ProtegeError, match="the memory run failed"):
        bench.peak_mb("raise SystemExit('no')")


def test_fine_tuning_is_scored_beside_every_baseline(tiny, labeled, tmp_path):
    (labeled.parent / "raw" / "one").mkdir(parents=True, exist_ok=True)  # episodes are counted there
    found = keys(bench.fine_tune(tiny, labeled, labeled, tmp_path / "adapter", 2))
    assert set(found["baselines"]) == {"majority", "repeat_last", "untuned_base"}
    assert len(found["goal_swap_ci"]) == 2
    assert 0 <= found["first_action_accuracy"] <= 1


def test_overfitting_is_scored_on_the_samples_trained_on(tiny, labeled, tmp_path):
    figure = bench.overfit(tiny, labeled, tmp_path / "overfit", 2)
    assert (figure.key, figure.good) == ("overfit_exact", False)
    assert len(LabeledData.open(tmp_path / "overfit_data")) == bench.OVERFIT


def test_arena_data_is_recorded_and_labeled(tmp_path):
    data = LabeledData.open(bench.arena_data(tmp_path, bench.TRAIN_SEED, 2))
    assert len(data) > 10
    assert all(goal for goal in data.goals)


def test_the_bound_knows_places_but_no_past(capsys):
    pytest.importorskip("sklearn")
    train_bound.main(["--episodes", "3", "--held-out", "1"])
    assert "bound_repeat_last" in capsys.readouterr().out
    found = keys(train_bound.run(3, 1))
    assert all(0 < value <= 1 for value in (*found["bound_first_action"], *found["bound_repeat_last"]))


def test_nothing_cannot_be_measured():
    with pytest.raises(UserError, match="steps is 1 or more"):
        bench.TrainBench(steps=0)
