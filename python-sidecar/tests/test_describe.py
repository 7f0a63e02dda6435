"""Names of the allow-list, and all others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import Sidecar, auth, field, sidecar, type_of

GOOD = '''
import dspy
from typing import Literal, Optional

print("a user's module may print")

class Triage(dspy.Signature):
    """Sort a message."""
    message: str = dspy.InputField(desc="what came in", max_length=200, min_length=1)
    history: list[dict[str, int | None]] = dspy.InputField(default=[])
    label: Literal["a", 1, None] = dspy.OutputField()
    pair: tuple[int, float] = dspy.OutputField()
    score: Optional[float] = dspy.OutputField(ge=0, le=1)

class Maker:
    @staticmethod
    def signature():
        return Triage

class Picture(dspy.Signature):
    image: dspy.Image = dspy.InputField()
    label: str = dspy.OutputField()

not_a_signature = 3

class Solver(dspy.Module):
    pass

def reward(args, pred):
    return 1.0
'''

NAMES = (
    "Triage=good:Triage,Maker=good:Maker,Picture=good:Picture,Number=good:not_a_signature,"
    "Solver=good:Solver,reward=good:reward,Missing=good:Nothing"
)
OTHERS = "Leaves=leaves:X,Breaks=breaks:X,Absent=absent:X,Os=os:path"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with a user's folder."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "good.py").write_text(GOOD)
    (folder / "leaves.py").write_text("import os; os._exit(3)")
    (folder / "breaks.py").write_text("raise SystemExit('no')")
    (folder / "marker.py").write_text(f"open({str(folder / 'imported')!r}, 'w').close()")
    with sidecar(SIGNET_PYTHON_PATH=str(folder), SIGNET_PYTHON_MODULES=f"{NAMES},{OTHERS}") as made:
        made.folder = folder  # type: ignore[attr-defined]
        yield made


def describe(made: Sidecar, name: str) -> pb.DescribeModuleResponse:
    return made.stub.DescribeModule(pb.DescribeModuleRequest(name=name), timeout=60, metadata=auth())


@pytest.mark.parametrize("name", ["Triage", "Maker"])
def test_an_allow_listed_class_tells_its_fields(described: Sidecar, name: str) -> None:
    response = describe(described, name)
    assert not response.HasField("error"), response.error
    assert response.signature.instructions == "Sort a message."
    bounds = [pb.Constraint(name="max_length", value="200"), pb.Constraint(name="min_length", value="1")]
    number = type_of("union", type_of("int"), type_of("none"))
    assert list(response.signature.fields) == [
        field("message", description="what came in", constraints=bounds),
        field("history", type_of("list", type_of("dict", type_of("str"), number)), default_json=b"[]"),
        field("label", type_of("literal", values=("a", 1, None)), output=True),
        field("pair", type_of("tuple", type_of("int"), type_of("float")), output=True),
        field(
            "score",
            type_of("union", type_of("float"), type_of("none")),
            output=True,
            constraints=[pb.Constraint(name="ge", value="0"), pb.Constraint(name="le", value="1")],
        ),
    ]


def test_a_described_signature_can_be_served(described: Sidecar) -> None:
    signature = describe(described, "Triage").signature
    response = described.compile(pb.ProgramDefinition(signature=signature, module="predict", prompt_adapter="chat"))
    assert not response.HasField("error"), response.error


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("Picture", "SIGNATURE_TYPE", "`image`: type `Image`"),
        ("Number", "MODULE_INVALID", "not a DSPy signature"),
        ("Missing", "MODULE_INVALID", "Nothing"),
        ("Leaves", "MODULE_INVALID", "ended the process"),
        ("Breaks", "MODULE_INVALID", "SystemExit"),
        ("Absent", "MODULE_INVALID", "No module named"),
        ("Os", "MODULE_INVALID", "not a DSPy signature"),
    ],
)
def test_what_cannot_be_read_is_an_answer_with_its_fault(described: Sidecar, name: str, reason: str, words: str) -> None:
    response = describe(described, name)
    assert (response.name, response.error.reason) == (name, reason)
    assert words in response.error.message + response.error.python_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Triage", "signature"), ("Maker", "signature"), ("Solver", "module"), ("reward", "function"), ("Number", ""), ("Breaks", "")],
)
def test_a_name_tells_what_it_stands_for(described: Sidecar, name: str, kind: str) -> None:
    assert describe(described, name).kind == kind


@pytest.mark.parametrize(
    "name", ["json", "os", "good:Triage", "good", "marker", "marker:X", "", "Triage ", "../good", "x" * 10_000, "\u0000"]
)
def test_a_name_outside_the_allow_list_imports_nothing(described: Sidecar, name: str) -> None:
    response = describe(described, name)
    assert response.error.reason == "MODULE_INVALID"
    assert "SIGNET_PYTHON_MODULES" in response.error.message
    folder: Path = described.folder  # type: ignore[attr-defined]
    assert not (folder / "imported").exists()


def test_the_pool_lists_the_names_of_the_allow_list(described: Sidecar) -> None:
    assert "Triage" in described.pool().module_names
