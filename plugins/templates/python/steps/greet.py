"""The step `greet`. It knows nothing of moltrun, so that tests run it as it is."""

from .step import Failure, Step


def run(input, host):
    name = input["name"].strip()
    if not name:
        raise Failure("blank_name", "the name is blank; give one")
    host.log("debug", "greeting", length=len(name))
    return {"text": f"Hello, {name}!"}


greet = Step(
    name="greet",
    summary="greets somebody by name",
    input={
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {"name": {"type": "string", "maxLength": 200, "description": "Whom to greet."}},
    },
    output={
        "type": "object",
        "additionalProperties": False,
        "required": ["text"],
        "properties": {"text": {"type": "string", "description": "The greeting."}},
    },
    run=run,
)
