"""Programs that can be built, and those that cannot."""

from __future__ import annotations

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import Sidecar, field, program, session, type_of


def deep(levels: int) -> pb.Type:
    made = type_of("str")
    for _ in range(levels):
        made = type_of("list", made)
    return made


def test_a_program_that_can_be_built_has_a_name_and_a_dialect(shared: Sidecar) -> None:
    response = shared.compile(program(demos_json=[b'{"question": "a", "answer": "b"}']))
    assert response.dspy_program_id.startswith("dspy-")
    assert not response.HasField("error")
    assert (response.dialect.dspy, response.dialect.json_repair, response.dialect.pydantic) == ("3.4.1", "0.64.5", "2.14.3")
    assert response.dspy_program_id == shared.compile(program(demos_json=[b'{"question": "a", "answer": "b"}'])).dspy_program_id
    assert response.dspy_program_id != shared.compile(program()).dspy_program_id


@pytest.mark.parametrize(
    ("made", "reason", "words"),
    [
        (program(module="rlm"), "MODULE_INVALID", "`rlm`"),
        (program(prompt_adapter="xml"), "MODULE_INVALID", "`xml`"),
        (program(field("question")), "MODULE_INVALID", "output"),
        (pb.ProgramDefinition(module="predict", prompt_adapter="chat"), "MODULE_INVALID", "between 1 and 64"),
        (program(*(field(f"f{n}", output=True) for n in range(65))), "MODULE_INVALID", "64"),
        (program(field("_x"), field("a", output=True)), "MODULE_INVALID", "`_x`"),
        (program(field("class"), field("a", output=True)), "MODULE_INVALID", "`class`"),
        (program(field("a b"), field("a", output=True)), "MODULE_INVALID", "`a b`"),
        (program(field("config"), field("a", output=True)), "MODULE_INVALID", "taken by DSPy"),
        (program(field("q"), field("signature", output=True)), "MODULE_INVALID", "taken by DSPy"),
        (program(field("a"), field("a", output=True)), "MODULE_INVALID", "twice"),
        (program(field("reasoning"), field("a", output=True), module="chain_of_thought"), "MODULE_INVALID", "reasoning"),
        (program(field("q"), pb.Field(name="a", output=True)), "SIGNATURE_TYPE", "kind"),
        (program(field("q"), field("a", type_of("literal"), output=True)), "SIGNATURE_TYPE", "member"),
        (program(field("q"), field("a", type_of("literal", values=(1.5,)), output=True)), "SIGNATURE_TYPE", "literal"),
        (program(field("q"), field("a", type_of("dict", type_of("str")), output=True)), "SIGNATURE_TYPE", "`a`"),
        (program(field("q"), field("a", type_of("union"), output=True)), "SIGNATURE_TYPE", "union"),
        (program(field("q"), field("a", deep(40), output=True)), "SIGNATURE_TYPE", "deeper"),
        (
            program(field("q", constraints=[pb.Constraint(name="pattern", value="1")]), field("a", output=True)),
            "MODULE_INVALID",
            "pattern",
        ),
        (program(field("q", constraints=[pb.Constraint(name="gt", value="x")]), field("a", output=True)), "MODULE_INVALID", "`gt`"),
        (
            program(field("n", "int", constraints=[pb.Constraint(name="gt", value="0.5")]), field("a", output=True)),
            "SIGNATURE_TYPE",
            "refuses",
        ),
        (program(field("q", default_json=b"{"), field("a", output=True)), "MODULE_INVALID", "default"),
        (program(demos_json=[b"[]"]), "MODULE_INVALID", "demo"),
        (program(demos_json=[b'{"question": [1], "answer": "x"}']), "MODULE_INVALID", "render"),
        (program(lm_options_json=b"3"), "MODULE_INVALID", "lm_options"),
    ],
)
def test_a_program_that_cannot_be_built_is_an_answer_with_its_fault(
    shared: Sidecar, made: pb.ProgramDefinition, reason: str, words: str
) -> None:
    response = shared.compile(made)
    assert response.dspy_program_id == ""
    assert response.error.reason == reason, response
    assert words in response.error.message
    with session(shared, program=made) as executor:
        outcome = executor.run({"question": "?"})
        assert isinstance(outcome, pb.RunError)
        assert (outcome.reason, outcome.category) == ("MODULE_INVALID", "module")
        assert executor.calls == []


@pytest.mark.parametrize("name", ["json", "copy", "schema", "validate", "dict", "model_name", "items", "keys"])
def test_names_that_pydantic_and_dspy_know_are_fields_like_others(shared: Sidecar, name: str) -> None:
    made = program(field(name), field("out_" + name), field("answer", output=True))
    with session(shared, program=made) as executor:
        assert isinstance(executor.run({name: "x", "out_" + name: "y"}), pb.Result)
        assert f"[[ ## {name} ## ]]\nx\n" in executor.calls[0].messages[1].content
    named = program(field("q"), field(name, output=True))
    with session(shared, lambda call: f"[[ ## {name} ## ]]\nz", named) as executor:
        result = executor.run({"q": "?"})
        assert isinstance(result, pb.Result), result
        assert result.outputs_json.decode() == f'{{"{name}":"z"}}'


def test_defaults_and_constraints_reach_the_prompt(shared: Sidecar) -> None:
    bounds = [pb.Constraint(name="le", value="1"), pb.Constraint(name="ge", value="0.0")]
    made = program(
        field("q", default_json=b'"given"'),
        field("p", "float", output=True, constraints=bounds, default_json=b"0.5", description="a share"),
    )
    with session(shared, lambda call: "[[ ## completed ## ]]", made) as executor:
        result = executor.run({})
        assert isinstance(result, pb.Result), result
        assert result.outputs_json == b'{"p":0.5}'
        system, user = executor.calls[0].messages
        assert "1. `p` (float): a share\nConstraints: less than or equal to: 1, greater than or equal to: 0.0" in system.content
        assert "[[ ## q ## ]]\ngiven\n" in user.content
