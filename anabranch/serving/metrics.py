"""Counters for Prometheus: how many requests, how long, how many tokens; never a text."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from anabranch.plan import SOLVE, Usage
from anabranch.serving.runs import Slots

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which several processes count together; `prometheus_client` reads it, too."""
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The counters of one app, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("anabranch_requests", "HTTP requests.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "anabranch_request_seconds", "Time until the last byte.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._refusals = Counter("anabranch_refusals", "Requests refused at the door.", ["reason"], registry=registry)
        self._plans = Counter("anabranch_plans", "Plans: planned, direct or rejected.", ["outcome"], registry=registry)
        self._sub_questions = Counter(
            "anabranch_sub_questions",
            "Sub-questions by route (a tool, solve, or client for the tools of clients) and how they ended.",
            ["route", "status"],
            registry=registry,
        )
        self._replans = Counter("anabranch_replans", "Plans asked for because answers were missing.", registry=registry)
        self._answers = Counter("anabranch_answers", "Questions by how they ended.", ["status"], registry=registry)
        self._routes = frozenset({SOLVE})
        self._tokens = Counter("anabranch_tokens", "Tokens by role.", ["role", "direction"], registry=registry)
        self._calls = Counter("anabranch_model_calls", "Model calls by role.", ["role"], registry=registry)
        self._cancelled = Counter("anabranch_cancelled", "Runs whose client went away.", registry=registry)
        now: Any = {"registry": registry, "multiprocess_mode": "livesum"}
        self._running = Gauge("anabranch_running", "Questions being worked on.", **now)
        self._waiting = Gauge("anabranch_waiting", "Questions waiting for a slot.", **now)

    def watch(self, slots: Slots) -> None:
        """Shows how full the slots are."""

        def show() -> None:
            self._running.set(slots.running)
            self._waiting.set(slots.waiting)

        slots.changed = show
        show()

    def name_routes(self, tools: Iterable[str]) -> None:
        """Counts the sub-questions of these tools by name; those of others, which clients bring, together."""
        self._routes |= set(tools)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """Counts a refusal: `host`, `key`, `rate`, `size`, `queue` or `slow`."""
        self._refusals.labels(reason).inc()

    def cancelled(self) -> None:
        """Counts a run that was cancelled because its client went away."""
        self._cancelled.inc()

    def spent(self, usage: Mapping[str, Usage]) -> None:
        """Counts tokens and calls."""
        for role, used in usage.items():
            self._calls.labels(role).inc(used.calls)
            self._tokens.labels(role, "input").inc(used.input_tokens)
            self._tokens.labels(role, "output").inc(used.output_tokens)

    def event(self, event: Mapping[str, Any]) -> None:
        """Counts what an event of the planner tells."""
        if event["type"] == "plan":
            self.planned(new=len(event["new"]), problems=len(event["problems"]))
        elif event["type"] == "sub_question" and event["status"] != "started":
            # Tools of clients by name would be as many series as clients like to have.
            route = event["route"] if event["route"] in self._routes else "client"
            self._sub_questions.labels(route, event["status"]).inc()
        elif event["type"] == "replan":
            self._replans.inc()
        elif event["type"] == "answer":
            self._answers.labels(event["status"]).inc()

    def planned(self, *, new: int, problems: int) -> None:
        """Counts a plan, and the drafts before it that were thrown away."""
        self._plans.labels("planned" if new else "direct").inc()
        self._plans.labels("rejected").inc(problems)

    def text(self) -> bytes:
        """All counters in Prometheus' text format; those of all processes that count together."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
