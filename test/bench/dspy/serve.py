"""FastAPI + DSPy, as a team would write it: one route that awaits one Predict. Nothing is recorded."""

from __future__ import annotations

import os

import dspy
from engine import Answer, make_lm
from fastapi import FastAPI
from pydantic import BaseModel


class Inputs(BaseModel):
    question: str
    context: list[str]


class Body(BaseModel):
    inputs: Inputs


class Outputs(BaseModel):
    answer: str
    confidence: float


class Result(BaseModel):
    outputs: Outputs


app = FastAPI()
predict = dspy.Predict(Answer)
lm = make_lm(os.environ["BENCH_LM_KIND"], os.environ["BENCH_LM_BASE"])
adapter = dspy.ChatAdapter()


@app.post("/execute")
async def execute(body: Body) -> Result:
    with dspy.context(lm=lm, adapter=adapter, trace=[], disable_history=True):
        found = await predict.acall(question=body.inputs.question, context=body.inputs.context)
    return Result(outputs=Outputs(answer=found.answer, confidence=found.confidence))
