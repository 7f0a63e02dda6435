"""One optimization on the wire: out of a start frame, on a thread of its own, to its last word."""

from __future__ import annotations

import threading

from signet_sidecar.config import Config
from signet_sidecar.dspy_engine.definition import Capabilities
from signet_sidecar.dspy_engine.lm import LmCallEnded, LmCallFailed
from signet_sidecar.dspy_engine.optimize.examples import DatasetFault
from signet_sidecar.dspy_engine.optimize.optimization import Optimization, OptimizationData, OtherLm
from signet_sidecar.dspy_engine.optimize.settings import SettingsFault
from signet_sidecar.dspy_engine.optimize.trials import Trial
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.errors import MESSAGE_MAX, DefinitionError, cut, traceback_of
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.optimize.exchange import Exchange, Send
from signet_sidecar.wire import read_program

_WORDS = {
    "bootstrap": "collecting what the program solves",
    "propose": "having instructions proposed",
    "evaluate": "measuring a candidate",
    "search": "looking for candidates",
}


class Job:
    """Built from a start frame; `send` takes frames from any thread. The last one is a result or an error."""

    def __init__(self, start: pb.OptimizeStart, config: Config, send: Send) -> None:
        self._send = send
        self.exchange = Exchange(send)
        user_code = UserCode(config.modules, config.python_path, config.shared_modules)
        self._optimization = Optimization(_data_of(start), user_code, self.exchange)

    def ready(self) -> pb.OptimizeReady:
        """What to answer when the program is built."""
        return pb.OptimizeReady(predictors=self._optimization.predictors)

    def add(self, message: pb.OptimizeExamples) -> None:
        """Takes some examples; raises DatasetFault for what is none of the program."""
        self._optimization.examples.add(message.split, message.examples)

    def begin(self) -> None:
        """Starts the optimizer's thread."""
        threading.Thread(target=self._run, name="optimizer", daemon=True).start()

    def progress(self) -> pb.OptimizeProgress:
        """How far it is."""
        optimization, exchange = self._optimization, self.exchange
        phase = optimization.phase
        return pb.OptimizeProgress(
            phase=phase,
            trial=optimization.trial_count,
            trials=optimization.expected_trials,
            lm_calls=exchange.lm_calls,
            metric_calls=exchange.metric_calls,
            message=_WORDS[phase],
        )

    def _run(self) -> None:
        last: pb.OptimizeResponse
        try:
            last = self._result(*self._optimization.run(self._tell_trial))
        # The last door of the optimization: whatever ends it is told, SystemExit included.
        except BaseException as error:
            last = pb.OptimizeResponse(error=self._error(error))
        self._send(last)

    def _result(self, state_json: bytes, score: float) -> pb.OptimizeResponse:
        exchange = self.exchange
        if exchange.stop_reason:
            raise LmCallEnded(exchange.stop_reason, "the optimization was ended", retryable=False)
        result = pb.OptimizeResult(state_json=state_json, best_score=score)
        result.lm_calls, result.metric_calls = exchange.lm_calls, exchange.metric_calls
        return pb.OptimizeResponse(result=result)

    def _tell_trial(self, trial: Trial) -> None:
        message = pb.OptimizeTrial(
            number=trial.number,
            score=trial.score,
            examples=trial.examples,
            full=trial.full,
            state_json=trial.state_json,
            note=trial.note,
        )
        self._send(pb.OptimizeResponse(trial=message))

    def _error(self, error: BaseException) -> pb.OptimizeError:
        reason, message, retryable = _explain(error, self.exchange, self._optimization.last_error)
        named = isinstance(error, (SettingsFault, DatasetFault, DefinitionError, LmCallEnded))
        return pb.OptimizeError(
            reason=reason,
            message=cut(message, MESSAGE_MAX),
            python_type="" if named else type(error).__name__,
            retryable=retryable,
            traceback="" if named else traceback_of(error),
            lm_calls=self.exchange.lm_calls,
            metric_calls=self.exchange.metric_calls,
        )


def refused(error: BaseException) -> pb.OptimizeError:
    """What is told of a start frame, or of examples, that no optimization can be made of."""
    reason, message, _ = _explain(error)
    return pb.OptimizeError(reason=reason, message=cut(message, MESSAGE_MAX))


def _explain(
    error: BaseException, exchange: Exchange | None = None, program_error: Exception | None = None
) -> tuple[str, str, bool]:
    if exchange is not None and exchange.stop_reason:
        return exchange.stop_reason, f"the optimization was ended: {exchange.stop_reason}", False
    if isinstance(error, SettingsFault):
        return "OPTIMIZER_INVALID", str(error), False
    if isinstance(error, DatasetFault):
        return "DATASET_INVALID", str(error), False
    if isinstance(error, DefinitionError):
        return error.fault.reason, error.fault.message, False
    if isinstance(error, LmCallFailed):
        return error.reason, str(error), error.retryable
    failed = exchange.last_failure if exchange is not None else None
    if failed is not None:
        # DSPy gives up with words of its own when too many examples have failed.
        return failed.reason, f"{type(error).__name__}: {error}; the last call of the model failed: {failed}", failed.retryable
    why = f"; the program failed last with {type(program_error).__name__}: {program_error}" if program_error is not None else ""
    return "MODULE_FAILED", f"{type(error).__name__}: {error}{why}", False


def _data_of(start: pb.OptimizeStart) -> OptimizationData:
    return OptimizationData(
        program=read_program(start.program),
        initial_state_json=start.initial_state_json,
        optimizer=start.optimizer,
        config_json=start.config_json,
        metric=start.metric.name,
        metric_config_json=start.metric.config_json,
        threshold=start.metric.threshold,
        seed=start.seed,
        threads=start.threads,
        prompt_lm=_other(start.prompt_lm, start.prompt_lm_options_json) if start.HasField("prompt_lm") else None,
        teacher_lm=_other(start.teacher_lm, start.teacher_lm_options_json) if start.HasField("teacher_lm") else None,
        metric_lm=_other(start.metric.lm, b"") if start.metric.HasField("lm") else None,
        traceparent=start.traceparent,
    )


def _other(message: pb.LmCapabilities, options_json: bytes) -> OtherLm:
    return OtherLm(Capabilities(message.model, message.json_schema, message.json_object, message.tools), options_json)
