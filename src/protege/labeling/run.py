"""Labels recordings: sessions in, folders of labeled segments out. What is there already is not done again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protege.core.labeled import LABELED
from protege.errors import MissingExtra, UserError
from protege.labeling.ask import ask_paraphrases, find_goals
from protege.labeling.backends.base import Given, Labeler
from protege.labeling.job import Job, LabelOptions, prepare
from protege.labeling.once import claimed, comes_second
from protege.labeling.segments import count_aside
from protege.labeling.store import SessionRecord, writing
from protege.labeling.wording import Wording

GROUP: Final = 256
"""Segments asked about together, from several sessions if these are short: enough to keep a server busy."""


@dataclass
class LabelResult:
    """What a run did.

    skipped: sessions that were done before
    aside: pieces set aside, by reason
    refused: sessions that give no samples, with the reason
    problems: sessions that could not be labeled, with the reason
    """

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
        self.aside.update(count_aside(record.aside))
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
    labeler: Labeler | Given,
    options: LabelOptions | None = None,
    tell: Callable[[str], None] = lambda _: None,
    asked: Callable[[int, int], None] = lambda done, of: None,
) -> LabelResult:
    """Label every session folder into `out`. A session that cannot be read is reported in the result; the rest is done.

    tell: gets a line of progress a session; asked: how many of how many segments the model has named, of those that it
    is asked about at once. BackendError if the labeler cannot work at all; answers so far are kept.
    `Locked` while another command writes to `out`.
    """
    options = options or LabelOptions()
    run = _Run(out, labeler, options, Wording.load(options.prompt), tell, asked)
    with writing(out, "protege label"):
        run.label(sessions)
    return run.result


@dataclass
class _Run:
    out: Path
    labeler: Labeler | Given
    options: LabelOptions
    wording: Wording
    tell: Callable[[str], None]
    asked: Callable[[int, int], None]
    result: LabelResult = field(default_factory=LabelResult)

    def label(self, sessions: Sequence[Path]) -> None:
        waiting: list[Job] = []
        claims = claimed(self.out, sessions if self.options.redo else ())
        for folder in sorted(sessions, key=comes_second):
            try:
                job = prepare(folder, self.out, self.labeler, self.options, self.wording, claims)
            except (UserError, OSError) as error:
                self._report(folder, error)
                continue
            if isinstance(job, SessionRecord):
                self.result.skipped += 1
                self._report(folder, job)
                continue
            waiting.append(job)
            # given goals take no time to find, so each session is written before the next is read
            if isinstance(self.labeler, Given) or sum(len(job.missing) for job in waiting) >= GROUP:
                self._finish(waiting)
                waiting.clear()
        self._finish(waiting)

    def _finish(self, jobs: Sequence[Job]) -> None:
        """Ask for all goals of some sessions at once, then write their segments."""
        asked = [(job, i) for job in jobs for i in job.missing]
        items = [job.item(i) for job, i in asked]
        if items and not isinstance(self.labeler, Given):
            self.asked(0, len(items))
        named: set[int] = set()
        for position, found in find_goals(items, self.labeler, self.wording, self.options.pictures):
            job, i = asked[position]
            job.note(i, found)
            named.add(position)
            self.asked(len(named), len(items))
        settled = [job.settled() for job in jobs]
        phrases: dict[str, tuple[str, ...]] = {}
        if not isinstance(self.labeler, Given):
            missing = [piece for job, pieces in zip(jobs, settled, strict=True) for piece in job.unwritten(pieces)]
            goals = [piece.goal for piece in missing if piece.status == LABELED]
            phrases = ask_paraphrases(goals, self.options.paraphrases, self.labeler, self.wording)
        for job, pieces in zip(jobs, settled, strict=True):
            try:
                done = job.write(self.out, pieces, phrases)
            except (UserError, OSError) as error:
                done = error
            self._report(job.session.folder, done)

    def _report(self, folder: Path, done: SessionRecord | UserError | OSError) -> None:
        """Count a session, or what is wrong with it, and say so."""
        if isinstance(done, MissingExtra):  # all other sessions would fail for want of it, too
            raise done
        if isinstance(done, SessionRecord):
            self.result.add(done)
            self.tell(f"{folder.name}: {done.segments} segments, {done.samples:,} samples")
        else:
            self.result.problems.append(str(done))
            self.tell(f"{folder.name}: {done}")
