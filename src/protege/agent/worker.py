"""Runs a policy beside the loop that acts: newest frame only, one prediction at a time."""

import threading
from dataclasses import dataclass
from typing import Protocol

from protege.core.devices import Clock
from protege.core.frame import Frame
from protege.core.plan import Plan, Policy, Sure
from protege.errors import ProtegeError


@dataclass(frozen=True)
class Prediction:
    """A plan, the goal and the moment of the frame it was made for, and how long it took from that moment on.

    probabilities: (H,) of its steps, () where the policy does not say.
    """

    plan: Plan
    goal: str
    t_ns: int
    latency_ns: int
    probabilities: tuple[float, ...] = ()


class Worker(Protocol):
    """Predicts from one frame at a time."""

    @property
    def busy(self) -> bool: ...

    def ask(self, frame: Frame, goal: str) -> None:
        """Begin with a frame; only while not busy."""
        ...

    def answer(self) -> Prediction | None:
        """The prediction that was finished since the last call, if any; raises what the policy raised."""
        ...

    def close(self) -> None: ...


class ThreadWorker:
    """A policy in a thread of its own."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._wake = threading.Condition()
        self._question: tuple[Frame, str] | None = None
        self._prediction: Prediction | None = None
        self._error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        with self._wake:
            return self._question is not None

    def ask(self, frame: Frame, goal: str) -> None:
        with self._wake:
            self._question = (frame, goal)
            self._wake.notify()

    def answer(self) -> Prediction | None:
        with self._wake:
            if self._error is not None:
                raise self._error
            prediction, self._prediction = self._prediction, None
            return prediction

    def close(self) -> None:
        """Ends the thread; one that is still predicting after a moment is left behind."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=2)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._question is not None or self._closed)
                if self._closed or self._question is None:
                    return
                frame, goal = self._question
            try:
                plan = self._policy.predict(frame, goal)
                sure = self._policy.probabilities() if isinstance(self._policy, Sure) else ()
            except BaseException as error:  # sys.exit() in a policy, too, would end this thread unseen
                with self._wake:
                    self._error = error if isinstance(error, Exception) else ended(error)
                return
            with self._wake:
                took = self._clock.now_ns() - frame.t_ns
                self._prediction = Prediction(plan, goal, frame.t_ns, took, sure)
                self._question = None


def ended(error: BaseException) -> ProtegeError:
    """For what a policy raises to end a program; raised in the loop, which lets go of the keys."""
    return ProtegeError(f"the policy ended itself ({type(error).__name__}: {error}); no key is held")
