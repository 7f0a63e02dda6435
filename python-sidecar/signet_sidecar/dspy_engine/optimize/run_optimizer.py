"""Runs one of DSPy's optimizers, or one of the allow-list, over a student."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any

import dspy

from signet_sidecar.dspy_engine.optimize.examples import DatasetFault
from signet_sidecar.dspy_engine.optimize.settings import SettingsFault
from signet_sidecar.dspy_engine.optimize.trials import GepaTrials, SimbaTrials
from signet_sidecar.dspy_engine.optimize.work import Work, demo_settings, evaluations, keeping, shuffled

MINIBATCH = 35
BATCH = 32


def run_optimizer(optimizer: str, work: Work) -> Any:
    """The optimized module. Raises SettingsFault, DatasetFault, LmCallEnded where it was stopped, and whatever DSPy raises."""
    if optimizer != "evaluate" and not work.examples.train:
        raise DatasetFault("there are no training examples")
    # Where an optimizer leaves a choice to the interpreter's own generator.
    random.seed(work.seed)
    return RUNNERS[optimizer](work)


def _labeled(work: Work) -> Any:
    settings = {"k": 16, **work.settings}
    sample = settings.pop("sample", True)
    return dspy.LabeledFewShot(**settings).compile(work.student, trainset=shuffled(work), sample=sample)


def _bootstrap(work: Work) -> Any:
    optimizer = dspy.BootstrapFewShot(metric=work.measure.plain, teacher_settings=work.teacher_settings, **demo_settings(work))
    with keeping(work, optimizer):
        return optimizer.compile(work.student, trainset=shuffled(work))


def _random_search(work: Work) -> Any:
    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        metric=work.measure.plain,
        teacher_settings=work.teacher_settings,
        num_threads=work.threads,
        **demo_settings(work),
        **work.take("num_candidate_programs", "stop_at_score"),
    )
    with evaluations(work):
        return optimizer.compile(work.student, trainset=shuffled(work), valset=work.val)


def _copro(work: Work) -> Any:
    optimizer = dspy.COPRO(
        prompt_model=work.prompt_lm, metric=work.measure.plain, **work.take("breadth", "depth", "init_temperature")
    )
    with evaluations(work):
        # COPRO knows one set of examples alone; candidates are compared on the one that counts.
        return optimizer.compile(work.student, trainset=work.val, eval_kwargs={"num_threads": work.threads})


def _mipro(work: Work) -> Any:
    given = work.settings
    auto = given.get("auto", None if "num_candidates" in given or "num_trials" in given else "light")
    if (auto is None) != ("num_candidates" in given and "num_trials" in given):
        raise SettingsFault("config: mipro takes either `auto` or both `num_candidates` and `num_trials`")
    valset = list(work.val)
    minibatch = {"minibatch_size": min(MINIBATCH, len(valset)), **work.take("minibatch", "minibatch_size")}
    if minibatch["minibatch_size"] > len(valset) and minibatch.get("minibatch", True):
        raise DatasetFault(f"config.minibatch_size of mipro is larger than the validation examples, which are {len(valset)}")
    optimizer = dspy.MIPROv2(
        metric=work.measure.plain,
        prompt_model=work.prompt_lm,
        task_model=work.task_lm,
        teacher_settings=work.teacher_settings,
        auto=auto,
        num_threads=work.threads,
        seed=work.seed or 9,
        **work.take("num_candidates", "max_bootstrapped_demos", "max_labeled_demos", "max_errors", "init_temperature"),
    )
    names = ("num_trials", "minibatch_full_eval_steps", "program_aware_proposer", "data_aware_proposer")
    more = work.take(*names, "tip_aware_proposer", "fewshot_aware_proposer", "view_data_batch_size")
    with evaluations(work):
        return optimizer.compile(work.student, trainset=list(work.examples.train), valset=valset, **minibatch, **more)


def _simba(work: Work) -> Any:
    from dspy.teleprompt import simba

    train = work.examples.train
    settings = {"bsize": min(BATCH, len(train)), **work.settings}
    settings.pop("num_threads", None)
    if settings["bsize"] > len(train):
        raise DatasetFault(f"config.bsize of simba is larger than the training examples, which are {len(train)}")
    teacher = {"teacher_settings": work.teacher_settings} if work.teacher_lm is not None else {}
    optimizer = dspy.SIMBA(
        metric=work.measure.with_feedback, prompt_model=work.prompt_lm, num_threads=work.threads, **teacher, **settings
    )
    stock = simba.wrap_program
    simba.wrap_program = SimbaTrials(work.trials).wrap(stock)
    try:
        return optimizer.compile(work.student, trainset=list(train), seed=work.seed)
    finally:
        simba.wrap_program = stock


def _gepa(work: Work) -> Any:
    bounds = ("auto", "max_full_evals", "max_metric_calls")
    given = {name: value for name, value in work.take(*bounds).items() if value is not None}
    if len(given) > 1:
        raise SettingsFault(f"config: gepa takes one of {', '.join(bounds)}")
    more = {name: value for name, value in work.settings.items() if name not in (*bounds, "num_threads")}

    def build(candidate: dict[str, str]) -> Any:
        module = work.student.deepcopy()
        for path, predictor in module.named_predictors():
            predictor.signature = predictor.signature.with_instructions(candidate.get(path, predictor.signature.instructions))
        return module

    optimizer = dspy.GEPA(
        metric=work.measure.reflective,
        reflection_lm=work.prompt_lm,
        num_threads=work.threads,
        seed=work.seed,
        gepa_kwargs={"callbacks": [GepaTrials(work.trials, build)]},
        **(given or {"auto": "light"}),
        **more,
    )
    return optimizer.compile(work.student, trainset=list(work.examples.train), valset=list(work.val))


def _infer_rules(work: Work) -> Any:
    optimizer = dspy.InferRules(
        metric=work.measure.plain,
        teacher_settings=work.teacher_settings,
        num_threads=work.threads,
        **demo_settings(work),
        **work.take("num_candidates", "num_rules"),
    )
    optimizer.rules_induction_program.teacher_settings = {"lm": work.prompt_lm}
    with evaluations(work), keeping(work, optimizer):
        return optimizer.compile(work.student, trainset=shuffled(work), valset=work.val)


def _evaluate(work: Work) -> Any:
    if not work.val:
        raise DatasetFault("there are no examples to evaluate on")
    with evaluations(work):
        evaluate = dspy.Evaluate(devset=work.val, metric=work.measure.plain, num_threads=work.threads, max_errors=len(work.val) + 1)
        evaluate(work.student)
    return work.student


def _custom(work: Work) -> Any:
    if "name" not in work.settings:
        raise SettingsFault("config.name of custom is required")
    target = work.user_code.load(work.settings["name"])
    if not callable(target):
        raise SettingsFault("config.name of custom must name a class or a function")
    offered = {
        "metric": work.measure.plain,
        "num_threads": work.threads,
        "prompt_model": work.prompt_lm,
        "task_model": work.task_lm,
        "seed": work.seed,
        "trainset": list(work.examples.train),
        "valset": list(work.val),
    }
    kwargs = dict(work.settings.get("kwargs", {}))
    with evaluations(work):
        if isinstance(target, type):
            optimizer = _called(target, {**offered, **kwargs}, kwargs)
            made = _called(optimizer.compile, offered, (), work.student)
        else:
            made = _called(target, {**offered, **kwargs}, kwargs, work.student)
    if not isinstance(made, dspy.Module):
        raise SettingsFault(f"`{work.settings['name']}` gave no dspy.Module but {type(made).__name__}")
    return made


def _called(target: Callable[..., Any], offered: dict[str, Any], required: Any, *args: Any) -> Any:
    parameters = inspect.signature(target).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    for name in required:
        if name not in names and not takes_all:
            raise SettingsFault(f"config.kwargs.{name[:100]}: the optimizer takes no such argument")
    return target(*args, **{name: value for name, value in offered.items() if name in names or name in required})


RUNNERS: dict[str, Callable[[Work], Any]] = {
    "labeled_few_shot": _labeled,
    "bootstrap": _bootstrap,
    "random_search": _random_search,
    "copro": _copro,
    "mipro": _mipro,
    "simba": _simba,
    "gepa": _gepa,
    "infer_rules": _infer_rules,
    "custom": _custom,
    "evaluate": _evaluate,
}
