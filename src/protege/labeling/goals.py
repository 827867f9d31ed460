"""What a goal looks like: cleans a model's answer, and says what is wrong with it."""

import re
import unicodedata
from typing import Final

from protege.core.files import parse_json
from protege.core.text import printable

MIN_WORDS, MAX_WORDS = 2, 7
MAX_LETTERS: Final = 30
MAX_CHARACTERS: Final = 200
MAX_ANSWER: Final = 10_000
REPEATED: Final = 3
"""A goal that says one word so often is no goal: models that loop repeat themselves."""

_LABEL: Final = re.compile(r"^(the\s+)?(goal|instruction|answer|task|output)\s*[:\-–]\s*", re.IGNORECASE)
_LIST_MARK: Final = re.compile(r"^\s*(?:[-*•>#]+|\(?\d{1,2}[.)])\s+")
_QUOTES: Final = "\"'`*_“”‘’«» \t"
_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
_FENCE: Final = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?```", re.DOTALL)
_NAMES: Final = frozenset(("goal", "instruction", "answer", "task", "output"))
_BETWEEN: Final = frozenset(" '’-–,.&/:()+#%")
_DANGLING: Final = "a an the and or but of with from for by at to into your his her their its"
_UNFINISHED: Final = frozenset(_DANGLING.split())
"""No goal ends with one of these."""
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ABOUT_THE_PICTURE: Final = re.compile(
    r"\b(players?|gamers?|frames?|images?|screenshots?|screens?|videos?|gameplay|contact sheet)\b", re.IGNORECASE
)
_NO_VERBS: Final = """
a an the this that these those there here it he she they we you i his her their your my its in on at to of from into
with without by for and or but no not yes is are was were be being been has have had will would can could should may
might must some someone something nothing none unknown unclear sorry
"""
_VERBS: Final = """
bring cling fling ring sing sling spring sting string swing wing
focus bypass
feed need speed proceed exceed succeed shed shred embed weed seed
"""
"""Verbs in their basic form that end like another form."""
_NOT_A_VERB: Final = frozenset(_NO_VERBS.split())
_STILL_A_VERB: Final = frozenset(_VERBS.split())


def clean(answer: str) -> str:
    """The goal in a model's answer: without thoughts, fences, JSON, quotes, full stop, list mark or "Goal:".

    Further lines are kept; `complaint` finds them.
    """
    text, before = answer, None
    while before != text:
        before = text
        text = _THOUGHT.sub("", text).rpartition("</think>")[2].partition("<think>")[0].strip()
        if fenced := _FENCE.fullmatch(text):
            text = fenced.group(1).strip()
        text = _in_json(text)
        text = _LIST_MARK.sub("", text).strip(_QUOTES)
        text = re.sub(r"[ \t]+", " ", _LABEL.sub("", text).rstrip(".!;,… "))
    return text[:1].upper() + text[1:]


def _in_json(text: str) -> str:
    """The goal of an answer like {"goal": "Open the door"}; any other text as it is."""
    if not text.startswith(("{", "[")) or len(text) > MAX_ANSWER:
        return text
    try:
        value = parse_json(text)
    except ValueError:
        return text
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        found = [said for name, said in value.items() if name.lower() in _NAMES]
        value = found[0] if len(found) == 1 else None
    return value.strip() if isinstance(value, str) else text


def words(goal: str) -> list[str]:
    """The words of a goal, in lower case."""
    return [word.lower() for word in _WORD.findall(goal)]


def unusable(goal: str) -> str | None:
    """Why a text can be nobody's goal, not even one that a person insists on; None if it can."""
    if not goal:
        return "it is empty"
    if "\n" in goal or "\r" in goal:
        return "it has more than one line"
    if len(goal) > MAX_CHARACTERS:
        return f"it has {len(goal)} characters instead of {MAX_CHARACTERS} at most"
    if printable(goal) != goal:
        return "it has control characters"
    return None


def complaint(goal: str) -> str | None:
    """What is wrong with a goal, in words a model understands when it is asked again; None if it is good."""
    if (why := unusable(goal)) is not None:
        return why
    if bad := next((c for c in goal if not _belongs(c)), None):
        return f"it has the character {bad!r}; it should be plain words"
    found = words(goal)
    if not MIN_WORDS <= len(found) <= MAX_WORDS:
        return f"it has {len(found)} words instead of {MIN_WORDS} to {MAX_WORDS}"
    if long := next((word for word in found if len(word) > MAX_LETTERS), None):
        return f'"{long[:MAX_LETTERS]}…" is no word'
    if found[-1] in _UNFINISHED:
        return f'it breaks off after "{found[-1]}"'
    if again := next((word for word in found if found.count(word) >= REPEATED), None):
        return f'it says "{again}" {found.count(again)} times'
    if about := _ABOUT_THE_PICTURE.search(goal):
        return f'it mentions "{about.group().lower()}" instead of only what to do in the game'
    if not _imperative(found[0]):
        return f'it is not an instruction: it begins with "{found[0]}" instead of a verb such as "go" or "open"'
    return None


def _belongs(character: str) -> bool:
    """Whether a character may stand in a goal: letters and their marks, digits, and what stands between words."""
    return character in _BETWEEN or unicodedata.category(character)[0] in "LMN"


def _imperative(first: str) -> bool:
    """Whether a word can begin an instruction: anything that does not look like another form of a verb."""
    if first in _STILL_A_VERB:
        return True
    if first in _NOT_A_VERB or first.isdigit():
        return False
    if first.endswith("s"):
        return first.endswith("ss")
    return len(first) < 5 or not first.endswith(("ing", "ed"))
