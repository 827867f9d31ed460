"""The user's way on the command line: tiny-base, train, score, compare, export; and mistakes as one line."""

import json

import pytest

pytest.importorskip("trl")
pytest.importorskip("peft")

from protege import cli

# peft 0.21 reads an attribute that transformers 5.23 has renamed
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SMALL = ("model.four_bit=false", "model.device=cpu", "data.workers=0", "data.validation=0.34", "training.batch=4")
SHORT = ("training.accumulation=1", "training.max_steps=1", "training.report_to=none", "training.score_samples=4")


def train(tiny, labeled, output, *more):
    return cli.run(["train", f"model.base={tiny}", f"data.folder={labeled}", f"output={output}", *SMALL, *SHORT, *more])


@pytest.fixture(scope="module")
def model(tiny, labeled, tmp_path_factory):
    output = tmp_path_factory.mktemp("models") / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(output.parent)  # where no configs/ is
        assert train(tiny, labeled, output) == 0
    return output


def test_a_model_is_scored_on_what_it_was_not_trained_on(model, labeled, tmp_path, capsys):
    out, page = tmp_path / "score.json", tmp_path / "score.html"
    options = ["--only-held-back", "--samples", "4", "--device", "cpu", "--json", str(out), "--page", str(page)]
    assert cli.run(["score", str(model), str(labeled), *options]) == 0
    shown = capsys.readouterr()
    assert "repeat_last" in shown.out
    assert "next: protege play" in shown.err
    assert json.loads(out.read_text())["samples"] == 4
    assert page.exists()


def test_models_stand_side_by_side(model, capsys):
    assert cli.run(["compare", str(model), str(model)]) == 0
    assert "first action, changed" in capsys.readouterr().out


def test_an_adapter_is_merged_and_a_base_is_made(model, tmp_path, capsys):
    assert cli.run(["export", str(model), "--merge", "--out", str(tmp_path / "merged")]) == 0
    assert cli.run(["tiny-base", str(tmp_path / "base"), "--random"]) == 0
    assert capsys.readouterr().out.count("model: ") == 2
    assert (tmp_path / "merged" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["data.folder=none"], 2, "no labeled data here; label recordings first"),
        (["model.base=models/none"], 2, "no such folder"),
        (["model.base=nobody/nothing"], 1, "not on this machine"),
        (["training.lerning_rate=1"], 2, "did you mean training.learning_rate"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(tiny, labeled, tmp_path, monkeypatch, capsys, options, code, says):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert train(tiny, labeled, tmp_path / "run", *options) == code
    line = capsys.readouterr().err.strip()
    assert says in line
    assert "\n" not in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["score", "check"])
def test_without_data_there_is_one_line_and_nothing_of_the_libraries(command, run_protege):
    done = run_protege(command, "nothing", timeout=120)
    assert done.returncode == 2
    assert "no labeled data here" in done.stderr
    assert len(done.stderr.splitlines()) == 1
