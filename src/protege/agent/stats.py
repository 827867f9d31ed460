"""Loop statistics: how often it decides, how long that takes, and what came too late."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

RECENT: Final = 8
MARGIN_NS: Final = 8_000_000
"""Between a picture and the deadline it is for there is at least this much time, for grabbing and for listeners."""


@dataclass
class LoopStats:
    """Counts of one run. Times are nanoseconds."""

    slots: int = 0
    decisions: int = 0
    late_plans: int = 0
    dropped_slots: int = 0
    empty_slots: int = 0
    skipped_slots: int = 0
    latencies_ns: list[int] = field(default_factory=list)
    lateness_ns: list[int] = field(default_factory=list)
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT))

    def predicted(self, latency_ns: int) -> None:
        self.decisions += 1
        self.latencies_ns.append(latency_ns)
        self._recent.append(latency_ns)

    def acted(self, late_ns: int) -> None:
        self.slots += 1
        self.lateness_ns.append(max(0, late_ns))

    @property
    def lead_ns(self) -> int:
        """Lead time of a picture before its slot: worst recent latency plus a margin."""
        return max(self._recent, default=0) + MARGIN_NS

    def line(self, elapsed_s: float) -> str:
        """For the status line."""
        rate = self.decisions / elapsed_s if elapsed_s > 0 else 0.0
        p50, p99 = (percentile(self.latencies_ns, q) / 1e6 for q in (50, 99))
        return (
            f"{rate:.1f} decisions/s  thinking {p50:.0f}/{p99:.0f} ms  "
            f"late plans {self.late_plans}  dropped slots {self.dropped_slots}"
        )

    def to_json(self) -> dict[str, float]:
        """For the run's log."""
        counts = ("slots", "decisions", "late_plans", "dropped_slots", "empty_slots", "skipped_slots")
        return {name: vars(self)[name] for name in counts} | {
            "latency_p50_ms": round(percentile(self.latencies_ns, 50) / 1e6, 2),
            "latency_p99_ms": round(percentile(self.latencies_ns, 99) / 1e6, 2),
            "deadline_p50_ms": round(percentile(self.lateness_ns, 50) / 1e6, 2),
            "deadline_p99_ms": round(percentile(self.lateness_ns, 99) / 1e6, 2),
        }


def percentile(values: list[int], q: float) -> float:
    """The q-th percentile, 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, round(q / 100 * (len(ordered) - 1)))])
