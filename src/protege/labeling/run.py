"""Labels recordings: sessions in, folders of labeled segments out. Whatever is there already is not done again."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protege.core.labeled import LABELED
from protege.errors import MissingExtra, UserError
from protege.labeling.ask import ask_goals, ask_paraphrases
from protege.labeling.backends.base import Labeler
from protege.labeling.job import Job, LabelOptions, prepare
from protege.labeling.once import claimed, comes_second
from protege.labeling.segments import count_aside
from protege.labeling.store import SessionRecord, writing
from protege.labeling.wording import Wording

GROUP: Final = 256
"""Segments asked about together, from several sessions if these are short: enough to keep a server busy."""


@dataclass
class LabelResult:
    """What a run did. skipped: sessions that were done before; aside: pieces set aside, by reason; refused: sessions
    whose samples are refused, and problems: sessions that could not be labeled, both with the reason."""

    sessions: int = 0
    skipped: int = 0
    segments: int = 0
    samples: int = 0
    needs_review: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return 1 if self.problems else 0

    def add(self, record: SessionRecord) -> None:
        self.sessions += 1
        self.segments += record.segments
        self.samples += record.samples
        self.needs_review += record.needs_review
        self.aside.update(count_aside(list(record.aside)))
        if record.refused:
            self.refused.append(f"{record.folder}: {record.refused}")

    def lines(self) -> list[str]:
        """The summary that a command prints at the end."""
        again = f" ({self.skipped} done before; --redo labels them again)" if self.skipped else ""
        found = [f"{self.sessions} sessions{again}: {self.segments} segments, {self.samples:,} samples"]
        if self.needs_review:
            found.append(f"{self.needs_review} segments need review; they are not trained on until you approve them")
        found += [f"{count} pieces set aside: {why}" for why, count in self.aside.most_common()]
        found += [f"no samples from {line}" for line in self.refused]
        return found + [f"not labeled: {line}" for line in self.problems]


def label(
    sessions: Sequence[Path],
    out: Path,
    labeler: Labeler,
    options: LabelOptions | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> LabelResult:
    """Label every session folder into `out`. A session that cannot be read is reported in the result; the rest is done.

    tell: gets a line of progress a session. BackendError if the labeler cannot work at all; answers so far are kept.
    `Locked` while another command writes to `out`.
    """
    options = options or LabelOptions()
    wording = Wording.load(options.prompt)
    with writing(out, "protege label"):
        return _label(sessions, out, labeler, options, wording, tell)


def _label(
    sessions: Sequence[Path],
    out: Path,
    labeler: Labeler,
    options: LabelOptions,
    wording: Wording,
    tell: Callable[[str], None],
) -> LabelResult:
    result = LabelResult()
    waiting: list[Job] = []
    claims = claimed(out, sessions if options.redo else ())
    for folder in sorted(sessions, key=comes_second):
        try:
            job = prepare(folder, out, labeler, options, wording, claims)
        except (UserError, OSError) as error:
            _report(result, tell, folder, error)
            continue
        if isinstance(job, SessionRecord):
            result.skipped += 1
            _report(result, tell, folder, job)
            continue
        waiting.append(job)
        if not labeler.sees or sum(len(job.missing) for job in waiting) >= GROUP:
            _finish(waiting, out, labeler, options, wording, result, tell)
            waiting.clear()
    _finish(waiting, out, labeler, options, wording, result, tell)
    return result


def _finish(
    jobs: Sequence[Job],
    out: Path,
    labeler: Labeler,
    options: LabelOptions,
    wording: Wording,
    result: LabelResult,
    tell: Callable[[str], None],
) -> None:
    """Ask for all goals of some sessions at once, then write their segments."""
    asked = [(job, i) for job in jobs for i in job.missing]
    with ExitStack() as stack:
        for job in jobs:
            stack.enter_context(job.journal)
        for position, found in ask_goals([job.item(i) for job, i in asked], labeler, wording, options.pictures):
            job, i = asked[position]
            job.note(i, found, keep=labeler.sees)
    settled = [job.settled(options, labeler) for job in jobs]
    missing = [piece for job, pieces in zip(jobs, settled, strict=True) for piece in job.unwritten(pieces)]
    goals = [piece.goal for piece in missing if piece.status == LABELED]
    phrases = ask_paraphrases(goals, options.paraphrases, labeler, wording)
    for job, pieces in zip(jobs, settled, strict=True):
        try:
            done = job.write(out, pieces, phrases)
        except (UserError, OSError) as error:
            done = error
        _report(result, tell, job.session.folder, done)


def _report(
    result: LabelResult, tell: Callable[[str], None], folder: Path, done: SessionRecord | UserError | OSError
) -> None:
    """Count a session, or what is wrong with it, and say so."""
    if isinstance(done, MissingExtra):
        raise done
    if isinstance(done, SessionRecord):
        result.add(done)
        tell(f"{folder.name}: {done.segments} segments, {done.samples:,} samples")
    else:
        result.problems.append(str(done))
        tell(f"{folder.name}: {done}")
