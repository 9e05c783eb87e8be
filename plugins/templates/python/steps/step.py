"""What a step is, how it fails, and how it leaves by another exit than `ok`."""

from dataclasses import dataclass, field
from typing import Any, Callable


class Failure(Exception):
    """Fails on purpose, with a stable code and what is wrong and what to do; any other exception is reported as `bug`.

    kind: "permanent" (never retried), "transient" (the workflow's retry policy decides), "later" (with after_ms: tried
    again then, costs no attempt), "unknown" (it may or may not have been done).
    """

    def __init__(self, code: str, message: str, kind: str = "permanent", details: Any = None, after_ms: int = 0):
        super().__init__(message)
        self.code, self.message, self.kind, self.details, self.after_ms = code, message, kind, details, after_ms


@dataclass
class Exit:
    """Leaves by `port`, which the step has in its `ports`."""

    port: str
    data: Any


@dataclass
class Step:
    """`run(input, host)` is given what fits `input` and returns what fits `output` (JSON Schema)."""

    name: str
    summary: str
    input: dict
    output: dict
    run: Callable[[dict, Any], Any]
    ports: list = field(default_factory=list)
    effect: str = "pure"
