"""The stages of the demo. Each leaves files in its place and returns what it found, as JSON has it."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from protege.arena import stage
from protege.core import quality
from protege.core.paths import shown
from protege.core.session import find_sessions
from protege.demo import window
from protege.demo.places import Facts, Places
from protege.demo.progress import Progress, Say, lines_of
from protege.demo.scale import FIRST_GOALS, Scale
from protege.errors import ProtegeError
from protege.evaluation.arena import wilson
from protege.evaluation.episodes import Player, Result, jobs, play_all
from protege.labeling import Given, LabelOptions, label
from protege.labeling.report import write_report

if TYPE_CHECKING:
    from protege.training.config import VisionConfig

EPISODES_SEED: Final = stage.SEED + 100
"""After the rooms of the window's recording."""
EPISODE_SIZE: Final = (320, 240)
NOISE: Final = 0.05
EVAL_SEED: Final = 10_000
VLM: Final = "tiny Qwen3-VL"
PIXELS: Final = "pixel CNN"
BASELINES: Final = ("random", "repeat", "expert")


def record(places: Places, scale: Scale, say: Say) -> Facts:
    """A window played with real keys and recorded, then more episodes without a window."""
    from protege.arena.record import record_episodes

    made = window.record(places.window, scale.window_s, say)
    say(f"{made.goals} goals played; recorded; now {scale.episodes} episodes without a window")
    step = Progress("episodes", scale.episodes, say).step
    done = [
        episode
        for task, count in scale.tasks(scale.episodes).items()
        for episode in record_episodes(
            places.episodes, count, EPISODES_SEED, EPISODE_SIZE, NOISE, progress=lambda *_: step(), task=task
        )
    ]
    return {
        "quality": quality.table(made.quality),
        "good": made.quality.good,
        "goals": made.goals,
        "episodes": len(done),
        "frames": sum(episode.frames for episode in done),
    }


def label_all(places: Places, scale: Scale, say: Say) -> Facts:
    """Segments with the goals that the game stored, and a page that says whether the data is any good."""
    sessions = [places.window, *find_sessions(places.episodes)]
    result = label(sessions, places.labeled, Given(), LabelOptions(redo=True))
    if result.problems:
        raise ProtegeError(f"the demo's recordings cannot be labeled: {result.problems[0]}")
    report = write_report(places.labeled)
    say(f"{result.segments} segments, {result.samples:,} samples; report: {shown(report.page)}")
    return {"segments": result.segments, "samples": result.samples, "report": report.lines()}


def fine_tune(places: Places, scale: Scale, say: Say) -> Facts:
    """A LoRA adapter on the tiny base. After Ctrl-C the next run goes on from its checkpoint."""
    from protege.training.run import read_metrics, train
    from protege.vlm.tiny import copy_base

    _one_thread()
    if not places.base.exists():
        copy_base(places.base)
    with lines_of("protege.training.trainer", say):
        trained = train(recipe(places, scale))
    if trained.interrupted:
        raise KeyboardInterrupt
    history = read_metrics(places.model)["history"]
    return {"steps": trained.steps, "history": history}


def recipe(places: Places, scale: Scale) -> "VisionConfig":
    """How the tiny base is fine-tuned; docs/benchmarks.md says how these numbers were found."""
    from protege.core.card import ModelCard
    from protege.training.config import DataOptions, LoraOptions, ModelOptions, TrainingOptions, VisionConfig

    quarter = max(1, scale.steps // 4)
    return VisionConfig(
        output=str(places.model),
        model=ModelOptions(base=str(places.base), four_bit=False, device="cpu", unsloth="never"),
        data=DataOptions(
            folder=str(places.labeled),
            validation=0.05,
            frame_size=ModelCard.load(places.base).frame_size,
            workers=0,
        ),
        lora=LoraOptions(r=32, alpha=32, dropout=0.0),
        training=TrainingOptions(
            learning_rate=1e-3,
            max_steps=scale.steps,
            batch=scale.batch,
            accumulation=1,
            gradient_checkpointing=False,
            loss="actions",
            best="cross_entropy",
            score_samples=200,
            log_steps=max(1, min(10, quarter)),
            save_steps=quarter,
            eval_steps=quarter,
            report_to="none",
        ),
    )


def _one_thread() -> None:
    """A model this small gains little from a second thread, and waits ten times as long where the cores are busy."""
    import torch

    torch.set_num_threads(1)


def score(places: Places, scale: Scale, say: Say) -> Facts:
    """Scores on the recordings that were held back from training, beside baselines and the base without adapter."""
    from protege.training.judge import ScoreOptions, score_model
    from protege.training.judged import summary

    _one_thread()
    options = ScoreOptions(samples=300, only_held_back=True, device="cpu", page=places.work / "scores.html")
    judged = score_model(places.model, places.labeled, options)
    say(f"first action right: {judged.scores.first_action_accuracy:.0%} of {len(judged.rows)} samples held back")
    return {"table": summary(judged), "first_action_accuracy": judged.scores.first_action_accuracy}


def play(places: Places, scale: Scale, say: Say) -> Facts:
    """Rooms that nothing was trained on: headless beside the baselines, then the VLM through the window with
    real keys.
    """
    from protege.evaluation.live import play_live

    todo = jobs(EVAL_SEED, scale.played)
    known = {job.seed for job in todo}
    rooms = {goal: jobs(EVAL_SEED, max(1, scale.played // 5), goal=goal) for goal in FIRST_GOALS}
    more = [job for asked in rooms.values() for job in asked if job.seed not in known]
    player = Player(str(places.model), device="cpu")
    players = {VLM: player, PIXELS: Player(str(places.cloned)), **{name: Player(name) for name in BASELINES}}
    rates: dict[str, Facts] = {}
    goals: dict[str, dict[str, Facts]] = {}
    for name, who in players.items():
        progress = Progress(name, len(todo) + len(more), say)
        results = play_all(who, [*todo, *more], say=lambda text: None, played=lambda _, seen=progress: seen.step())
        rates[name] = rated(results[: len(todo)])
        of = {result.seed: result for result in results}
        goals[name] = {goal: rated([of[job.seed] for job in asked]) for goal, asked in rooms.items()}
        each = ", ".join(f"{goal} {found['won']} of {found['of']}" for goal, found in goals[name].items())
        say(f"{name}: {rates[name]['won']} of {len(todo)} goals reached; {each}")
    shutil.rmtree(places.runs, ignore_errors=True)
    live = play_live(player, [job.seed for asked in rooms.values() for job in asked[: scale.live]], say, places.runs)
    return {
        "rates": rates,
        "goals": goals,
        "live": [{"goal": r.goal, "end": r.end, "seconds": r.seconds, "seed": r.seed} for r in live],
    }


def rated(results: Sequence[Result]) -> Facts:
    """How many goals were reached, with the 95 % Wilson interval of the rate."""
    won = sum(result.success for result in results)
    low, high = wilson(won, len(results))
    return {"won": won, "of": len(results), "rate": won / len(results), "low": low, "high": high}
