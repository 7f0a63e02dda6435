"""States of several predictors: what DSPy loads, a worker loads; what does not fit is refused."""

from __future__ import annotations

import json
from typing import Any

import dspy
import pytest

from signet_sidecar.dspy_engine.programs import build_program
from signet_sidecar.dspy_engine.state import load_state
from signet_sidecar.errors import DefinitionError
from signet_sidecar.wire import read_program
from tests.support import program

TOOL = {"name": "lookup", "description": "Looks a term up.", "args": {"term": {"type": "string"}}}
AGENT = json.dumps({"max_iters": 3, "tools": [TOOL]}).encode()


def build(state: Any = None, module: str = "react", config: bytes = AGENT) -> Any:
    text = b"" if state is None else json.dumps(state).encode()
    return build_program(read_program(program(module=module, module_config_json=config, state_json=text)))


def changed(module: Any) -> dict[str, Any]:
    """The module's state as an optimizer would leave it."""
    state = {}
    for path, predictor in module.named_predictors():
        state[path] = predictor.dump_state()
        state[path]["signature"]["instructions"] += f"\nAs «{path}» does."
        state[path]["signature"]["fields"][0]["description"] = f"first of {path}"
        state[path]["demos"] = [{name: f"{path} {name}" for name in predictor.signature.fields} | {"augmented": True}]
    return json.loads(json.dumps({**state, "metadata": {"dependency_versions": {"dspy": "3.4.1"}}}, default=str))


@pytest.mark.parametrize(("module", "config"), [("react", AGENT), ("multi_chain_comparison", b""), ("chain_of_thought", b"")])
def test_a_state_gives_every_predictor_what_dspy_would_give_it(module: str, config: bytes) -> None:
    state = changed(build(None, module, config).module)
    ours = build(state, module, config)
    theirs = build(None, module, config).module
    theirs.load_state(state)
    assert ours.module.dump_state() == theirs.dump_state()
    chat = dspy.ChatAdapter()
    for (_, made), (_, wanted) in zip(ours.module.named_predictors(), theirs.named_predictors(), strict=True):
        inputs = dict.fromkeys(made.signature.input_fields, "x")
        assert ours.adapter.format(made.signature, made.demos, inputs) == chat.format(wanted.signature, wanted.demos, inputs)


def test_programs_with_other_states_are_other_programs() -> None:
    state = changed(build().module)
    text = json.dumps(state).encode()
    plain = read_program(program(module="react", module_config_json=AGENT))
    assert read_program(program(module="react", module_config_json=AGENT, state_json=text)).digest != plain.digest


def broken(path: str, **more: Any) -> Any:
    state = changed(build().module)
    state[path] = {**state[path], **more}
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"react": 1}, "`extract.predict`|`react`"),
        (broken("react", demos="many"), "demos of `react`"),
        (broken("react", demos=[1]), "demos of `react`"),
        (broken("react", signature=None), "no instructions"),
        (broken("react", signature={"instructions": "x", "fields": []}), "its 5 fields|fields"),
        (broken("extract.predict", signature={"instructions": "x"}), "fields"),
        ({**changed(build().module), "other": {}}, "`other`"),
        ({"react": changed(build().module)["react"]}, "`extract.predict`"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as refused:
        build(state)
    assert refused.value.fault.reason == "MODULE_INVALID"


def test_a_state_is_not_half_loaded_into_a_program_that_is_kept() -> None:
    module = build().module
    before = module.dump_state()
    with pytest.raises(DefinitionError):
        load_state(module, {"metadata": {}})
    assert module.dump_state() == before
