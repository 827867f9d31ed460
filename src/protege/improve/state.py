"""What a loop has done so far: improve.json says what was asked, round_N/round.json what each step of a round found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.core.files import read_json, write_json
from protege.errors import UserError
from protege.evaluation.arena import wilson
from protege.improve.options import ImproveOptions
from protege.settings import build, to_fields

ASKED: Final = "improve.json"
ROUND: Final = "round.json"
FORMAT_VERSION: Final = 1


@dataclass(frozen=True)
class Played:
    """sessions: recorded; frames: in them; corrected: of these played by the person; takeovers: how often he took over;
    next_seed: the first room of the arena that was not played.
    """

    sessions: int
    frames: int
    corrected: int
    takeovers: int
    next_seed: int = 0


@dataclass(frozen=True)
class Labeled:
    """segments, samples: that the round's corrections gave."""

    segments: int
    samples: int


@dataclass(frozen=True)
class Fitted:
    """steps: of training in this round; 0 where there was nothing new to learn from."""

    steps: int


@dataclass(frozen=True)
class Score:
    """won of `of`: goals reached in rooms of the arena, or first actions right in held-out samples."""

    won: int
    of: int

    @property
    def rate(self) -> float:
        return self.won / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the rate."""
        return wilson(self.won, self.of)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.rate:.0%} of {self.of} ({low:.0%} to {high:.0%})"


@dataclass(frozen=True)
class Round:
    """round.json: what each step found, None while it is not done. before, after: scores of the model that the round
    began with and of the one it trained.
    """

    play: Played | None = None
    label: Labeled | None = None
    train: Fitted | None = None
    before: Score | None = None
    after: Score | None = None
    format_version: int = FORMAT_VERSION

    @property
    def done(self) -> bool:
        return self.after is not None

    @property
    def better(self) -> bool:
        """Whether the new model is kept; where both do as well, the old one is."""
        return self.before is not None and self.after is not None and self.after.rate > self.before.rate

    def save(self, folder: Path) -> None:
        write_json(folder / ROUND, to_fields(self))

    @classmethod
    def load(cls, folder: Path) -> "Round":
        """A round as far as it is done; UserError where its file cannot be read."""
        path = folder / ROUND
        try:
            return build(cls, read_json(path))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, UserError) as error:
            raise UserError(f"{path}: not the record of a round ({error}); remove {folder} to do it again") from None


def begin(options: ImproveOptions) -> None:
    """Write down what was asked; UserError where the folder holds another loop, or something else."""
    path, asked = options.out / ASKED, options.identity()
    if not path.exists():
        if options.out.is_dir() and any(options.out.iterdir()):
            raise UserError(f"{options.out}: not made by protege improve, so it stays; give another --out")
        write_json(path, {"format_version": FORMAT_VERSION, "asked": asked})
        return
    try:
        before = read_json(path)["asked"]
        changed = [name for name, value in asked.items() if before[name] != value]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give another --out") from None
    if changed:
        name = changed[0]
        option = "KEY=VALUE" if name == "overrides" else f"--{name.removesuffix('s') if name == 'goals' else name}"
        raise UserError(
            f"{options.out} was begun with {option} {before[name]}, not {asked[name]}; ask for that, or give another "
            "--out"
        )
