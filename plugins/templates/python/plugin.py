"""What moltrun calls: the steps below, behind the interface of wit/step.wit. New steps go into STEPS.

`wit_world` and `componentize_py_types` are made by componentize-py while it builds.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import context, log as lines, types

from steps.greet import greet
from steps.step import Exit, Failure

VERSION = "0.1.0"
STEPS = [greet]


class Host:
    """What a step is handed beside its input."""

    context = context

    @staticmethod
    def log(level, message, **fields):
        lines.write(lines.Level[level.upper()], message, [(name, str(value)) for name, value in fields.items()])


class Guest(exports.Guest):
    def describe(self):
        steps = [
            types.StepInfo(
                name=step.name,
                summary=step.summary,
                effect=types.Effect[step.effect.upper().replace("-", "_")],
                input_schema=json.dumps(step.input),
                output_schema=json.dumps(step.output),
                ports=step.ports,
            )
            for step in STEPS
        ]
        return types.PluginInfo(version=VERSION, steps=steps, hosts=[], secrets=[])

    def run(self, step, input):
        try:
            result = next(known for known in STEPS if known.name == step).run(json.loads(input), Host)
            leaves = result if isinstance(result, Exit) else Exit(None, result)
            return types.Output(data=json.dumps(leaves.data), port=leaves.port)
        except Failure as failure:
            raise Err(told(failure)) from failure
        except Exception as error:
            raise Err(told(Failure("bug", repr(error)))) from error


def told(failure):
    details = None if failure.details is None else json.dumps(failure.details)
    told = types.Failure(code=failure.code, message=failure.message, details=details)
    match failure.kind:
        case "transient":
            return types.StepError_Transient(told)
        case "later":
            return types.StepError_Later(types.Delay(failure=told, after_ms=failure.after_ms))
        case "unknown":
            return types.StepError_Unknown(told)
        case _:
            return types.StepError_Permanent(told)
