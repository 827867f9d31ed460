"""The questions to a model: templates in prompt.md, or in the user's own copy of it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final, Self

from protege.core.files import read_bytes
from protege.errors import UserError

DEFAULT: Final = Path(__file__).with_name("prompt.md")
MAX_BYTES: Final = 1 << 20
_PARTS: Final = {
    "goal": {"count", "times", "seconds", "keys"},
    "again": {"answer", "complaint"},
    "paraphrases": {"goal", "number"},
}


@dataclass(frozen=True)
class Wording:
    """Templates of the three questions."""

    goal: str
    again: str
    paraphrases: str

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """UserError if the file lacks a heading, or uses a $word that nothing fills in."""
        path = path or DEFAULT
        try:
            text = read_bytes(path, MAX_BYTES).decode()
        except (OSError, ValueError) as error:
            raise UserError(f"--prompt {path}: cannot be read ({error}); start from a copy of {DEFAULT}") from None
        _, *pieces = re.split(r"^# +(.+?)\s*$", text, flags=re.MULTILINE)
        found = {name.lower(): body.strip() for name, body in zip(pieces[::2], pieces[1::2], strict=True)}
        for name, words in _PARTS.items():
            if not found.get(name):
                raise UserError(f"{path}: no text under the heading '# {name.capitalize()}'; copy it from {DEFAULT}")
            template = Template(found[name])
            if not template.is_valid():
                raise UserError(f"{path}: a lone '$' under '# {name.capitalize()}'; write '$$' for a dollar sign")
            if unknown := sorted(set(template.get_identifiers()) - words):
                raise UserError(
                    f"{path}: ${unknown[0]} under '# {name.capitalize()}' is not filled in; "
                    f"expected {', '.join('$' + word for word in sorted(words))}"
                )
        return cls(**{name: found[name] for name in _PARTS})

    @property
    def fingerprint(self) -> str:
        """Changes with every edit, so that answers to other questions are not taken for these."""
        return hashlib.sha256("\0".join((self.goal, self.again, self.paraphrases)).encode()).hexdigest()[:12]

    def ask(self, times_s: list[float], seconds: float, keys: str) -> str:
        """The question about a contact sheet. times_s: of its pictures; seconds: length of the segment."""
        times = ", ".join(f"{t:.1f} s" for t in times_s)
        return _one_paragraph(
            Template(self.goal).substitute(count=len(times_s), times=times, seconds=f"{seconds:.1f}", keys=keys)
        )

    def ask_again(self, question: str, answer: str, complaint: str) -> str:
        """The question again, with what is wrong with the answer to it."""
        short = answer if len(answer) <= 200 else answer[:200] + "…"
        again = Template(self.again).substitute(answer=short.replace("\n", " / "), complaint=complaint)
        return f"{question}\n\n{_one_paragraph(again)}"

    def ask_paraphrases(self, goal: str, number: int) -> str:
        """The question for `number` other ways to say a goal."""
        return _one_paragraph(Template(self.paraphrases).substitute(goal=goal, number=number))


def _one_paragraph(text: str) -> str:
    """Lines joined where the file only breaks them to be readable."""
    return "\n\n".join(" ".join(part.split("\n")) for part in text.split("\n\n"))
