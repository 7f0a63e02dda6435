from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TypeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TYPE_KIND_UNSPECIFIED: _ClassVar[TypeKind]
    TYPE_KIND_STR: _ClassVar[TypeKind]
    TYPE_KIND_INT: _ClassVar[TypeKind]
    TYPE_KIND_FLOAT: _ClassVar[TypeKind]
    TYPE_KIND_BOOL: _ClassVar[TypeKind]
    TYPE_KIND_ANY: _ClassVar[TypeKind]
    TYPE_KIND_NONE: _ClassVar[TypeKind]
    TYPE_KIND_LIST: _ClassVar[TypeKind]
    TYPE_KIND_DICT: _ClassVar[TypeKind]
    TYPE_KIND_TUPLE: _ClassVar[TypeKind]
    TYPE_KIND_TUPLE_VARIADIC: _ClassVar[TypeKind]
    TYPE_KIND_SET: _ClassVar[TypeKind]
    TYPE_KIND_UNION: _ClassVar[TypeKind]
    TYPE_KIND_LITERAL: _ClassVar[TypeKind]
    TYPE_KIND_BARE_DICT: _ClassVar[TypeKind]

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_SHARED: _ClassVar[Lane]
    LANE_SOLO: _ClassVar[Lane]
    LANE_OPTIMIZE: _ClassVar[Lane]
    LANE_BULK: _ClassVar[Lane]
    LANE_BULK_SOLO: _ClassVar[Lane]

class WorkerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATE_UNSPECIFIED: _ClassVar[WorkerState]
    WORKER_STATE_STARTING: _ClassVar[WorkerState]
    WORKER_STATE_READY: _ClassVar[WorkerState]
    WORKER_STATE_DRAINING: _ClassVar[WorkerState]
    WORKER_STATE_LOST: _ClassVar[WorkerState]
TYPE_KIND_UNSPECIFIED: TypeKind
TYPE_KIND_STR: TypeKind
TYPE_KIND_INT: TypeKind
TYPE_KIND_FLOAT: TypeKind
TYPE_KIND_BOOL: TypeKind
TYPE_KIND_ANY: TypeKind
TYPE_KIND_NONE: TypeKind
TYPE_KIND_LIST: TypeKind
TYPE_KIND_DICT: TypeKind
TYPE_KIND_TUPLE: TypeKind
TYPE_KIND_TUPLE_VARIADIC: TypeKind
TYPE_KIND_SET: TypeKind
TYPE_KIND_UNION: TypeKind
TYPE_KIND_LITERAL: TypeKind
TYPE_KIND_BARE_DICT: TypeKind
LANE_UNSPECIFIED: Lane
LANE_SHARED: Lane
LANE_SOLO: Lane
LANE_OPTIMIZE: Lane
LANE_BULK: Lane
LANE_BULK_SOLO: Lane
WORKER_STATE_UNSPECIFIED: WorkerState
WORKER_STATE_STARTING: WorkerState
WORKER_STATE_READY: WorkerState
WORKER_STATE_DRAINING: WorkerState
WORKER_STATE_LOST: WorkerState

class SessionRequest(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[ExecutorFrame]
    def __init__(self, frames: _Optional[_Iterable[_Union[ExecutorFrame, _Mapping]]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[WorkerFrame]
    def __init__(self, frames: _Optional[_Iterable[_Union[WorkerFrame, _Mapping]]] = ...) -> None: ...

class ExecutorFrame(_message.Message):
    __slots__ = ("hello", "define", "start", "cancel", "lm_reply", "heartbeat", "drain", "tool_reply")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    DEFINE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    LM_REPLY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    TOOL_REPLY_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    define: Define
    start: Start
    cancel: Cancel
    lm_reply: LmReply
    heartbeat: Heartbeat
    drain: Drain
    tool_reply: ToolReply
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., define: _Optional[_Union[Define, _Mapping]] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., lm_reply: _Optional[_Union[LmReply, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., tool_reply: _Optional[_Union[ToolReply, _Mapping]] = ...) -> None: ...

class WorkerFrame(_message.Message):
    __slots__ = ("ready", "lm_call", "step", "result", "error", "heartbeat", "credit", "drained", "tool_call", "retiring")
    READY_FIELD_NUMBER: _ClassVar[int]
    LM_CALL_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    RETIRING_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    lm_call: LmCall
    step: Step
    result: Result
    error: RunError
    heartbeat: Heartbeat
    credit: Credit
    drained: Drained
    tool_call: ToolCall
    retiring: Retiring
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., lm_call: _Optional[_Union[LmCall, _Mapping]] = ..., step: _Optional[_Union[Step, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., error: _Optional[_Union[RunError, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., drained: _Optional[_Union[Drained, _Mapping]] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., retiring: _Optional[_Union[Retiring, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("executor",)
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    executor: str
    def __init__(self, executor: _Optional[str] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("worker", "pid", "dialect", "credit")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    worker: str
    pid: int
    dialect: Dialect
    credit: int
    def __init__(self, worker: _Optional[str] = ..., pid: _Optional[int] = ..., dialect: _Optional[_Union[Dialect, _Mapping]] = ..., credit: _Optional[int] = ...) -> None: ...

class Dialect(_message.Message):
    __slots__ = ("dspy", "json_repair", "pydantic", "python")
    DSPY_FIELD_NUMBER: _ClassVar[int]
    JSON_REPAIR_FIELD_NUMBER: _ClassVar[int]
    PYDANTIC_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    dspy: str
    json_repair: str
    pydantic: str
    python: str
    def __init__(self, dspy: _Optional[str] = ..., json_repair: _Optional[str] = ..., pydantic: _Optional[str] = ..., python: _Optional[str] = ...) -> None: ...

class Define(_message.Message):
    __slots__ = ("ref", "program")
    REF_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ref: str
    program: ProgramDefinition
    def __init__(self, ref: _Optional[str] = ..., program: _Optional[_Union[ProgramDefinition, _Mapping]] = ...) -> None: ...

class ProgramDefinition(_message.Message):
    __slots__ = ("signature", "module", "prompt_adapter", "demos_json", "lm_options_json", "lm", "module_config_json", "state_json")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    DEMOS_JSON_FIELD_NUMBER: _ClassVar[int]
    LM_OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    LM_FIELD_NUMBER: _ClassVar[int]
    MODULE_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    signature: Signature
    module: str
    prompt_adapter: str
    demos_json: _containers.RepeatedScalarFieldContainer[bytes]
    lm_options_json: bytes
    lm: LmCapabilities
    module_config_json: bytes
    state_json: bytes
    def __init__(self, signature: _Optional[_Union[Signature, _Mapping]] = ..., module: _Optional[str] = ..., prompt_adapter: _Optional[str] = ..., demos_json: _Optional[_Iterable[bytes]] = ..., lm_options_json: _Optional[bytes] = ..., lm: _Optional[_Union[LmCapabilities, _Mapping]] = ..., module_config_json: _Optional[bytes] = ..., state_json: _Optional[bytes] = ...) -> None: ...

class LmCapabilities(_message.Message):
    __slots__ = ("model", "json_schema", "json_object", "tools")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    JSON_OBJECT_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    model: str
    json_schema: bool
    json_object: bool
    tools: bool
    def __init__(self, model: _Optional[str] = ..., json_schema: _Optional[bool] = ..., json_object: _Optional[bool] = ..., tools: _Optional[bool] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("instructions", "fields")
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    instructions: str
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    def __init__(self, instructions: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("name", "output", "type", "description", "constraints", "default_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    output: bool
    type: Type
    description: str
    constraints: _containers.RepeatedCompositeFieldContainer[Constraint]
    default_json: bytes
    def __init__(self, name: _Optional[str] = ..., output: _Optional[bool] = ..., type: _Optional[_Union[Type, _Mapping]] = ..., description: _Optional[str] = ..., constraints: _Optional[_Iterable[_Union[Constraint, _Mapping]]] = ..., default_json: _Optional[bytes] = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Type(_message.Message):
    __slots__ = ("kind", "args", "values_json")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    VALUES_JSON_FIELD_NUMBER: _ClassVar[int]
    kind: TypeKind
    args: _containers.RepeatedCompositeFieldContainer[Type]
    values_json: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, kind: _Optional[_Union[TypeKind, str]] = ..., args: _Optional[_Iterable[_Union[Type, _Mapping]]] = ..., values_json: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("run", "ref", "inputs_json", "deadline_ms", "traceparent", "execution_id", "lm_options_json")
    RUN_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    LM_OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    run: int
    ref: str
    inputs_json: bytes
    deadline_ms: int
    traceparent: str
    execution_id: str
    lm_options_json: bytes
    def __init__(self, run: _Optional[int] = ..., ref: _Optional[str] = ..., inputs_json: _Optional[bytes] = ..., deadline_ms: _Optional[int] = ..., traceparent: _Optional[str] = ..., execution_id: _Optional[str] = ..., lm_options_json: _Optional[bytes] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: int
    def __init__(self, run: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("busy_ms", "in_flight", "rss_bytes")
    BUSY_MS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    busy_ms: int
    in_flight: int
    rss_bytes: int
    def __init__(self, busy_ms: _Optional[int] = ..., in_flight: _Optional[int] = ..., rss_bytes: _Optional[int] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("run", "call", "tool", "args_json", "traceparent")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    run: int
    call: int
    tool: str
    args_json: bytes
    traceparent: str
    def __init__(self, run: _Optional[int] = ..., call: _Optional[int] = ..., tool: _Optional[str] = ..., args_json: _Optional[bytes] = ..., traceparent: _Optional[str] = ...) -> None: ...

class ToolReply(_message.Message):
    __slots__ = ("run", "call", "observation_json")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_JSON_FIELD_NUMBER: _ClassVar[int]
    run: int
    call: int
    observation_json: bytes
    def __init__(self, run: _Optional[int] = ..., call: _Optional[int] = ..., observation_json: _Optional[bytes] = ...) -> None: ...

class Retiring(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Drained(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Credit(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class LmCall(_message.Message):
    __slots__ = ("run", "call", "predictor", "prompt_adapter", "output_fields", "messages", "options_json", "traceparent")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    PREDICTOR_FIELD_NUMBER: _ClassVar[int]
    PROMPT_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELDS_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    run: int
    call: int
    predictor: str
    prompt_adapter: str
    output_fields: _containers.RepeatedCompositeFieldContainer[OutputField]
    messages: _containers.RepeatedCompositeFieldContainer[LmMessage]
    options_json: bytes
    traceparent: str
    def __init__(self, run: _Optional[int] = ..., call: _Optional[int] = ..., predictor: _Optional[str] = ..., prompt_adapter: _Optional[str] = ..., output_fields: _Optional[_Iterable[_Union[OutputField, _Mapping]]] = ..., messages: _Optional[_Iterable[_Union[LmMessage, _Mapping]]] = ..., options_json: _Optional[bytes] = ..., traceparent: _Optional[str] = ...) -> None: ...

class OutputField(_message.Message):
    __slots__ = ("name", "text", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: bool
    type: Type
    def __init__(self, name: _Optional[str] = ..., text: _Optional[bool] = ..., type: _Optional[_Union[Type, _Mapping]] = ...) -> None: ...

class LmMessage(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class LmReply(_message.Message):
    __slots__ = ("run", "call", "completion", "failure")
    RUN_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    run: int
    call: int
    completion: LmCompletion
    failure: LmFailure
    def __init__(self, run: _Optional[int] = ..., call: _Optional[int] = ..., completion: _Optional[_Union[LmCompletion, _Mapping]] = ..., failure: _Optional[_Union[LmFailure, _Mapping]] = ...) -> None: ...

class LmCompletion(_message.Message):
    __slots__ = ("text", "streamed", "prompt_tokens", "completion_tokens", "finish_reason")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    text: str
    streamed: bool
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    def __init__(self, text: _Optional[str] = ..., streamed: _Optional[bool] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., finish_reason: _Optional[str] = ...) -> None: ...

class LmFailure(_message.Message):
    __slots__ = ("reason", "message", "retryable", "retry_after_ms", "context_exceeded")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retryable: bool
    retry_after_ms: int
    context_exceeded: bool
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ..., retry_after_ms: _Optional[int] = ..., context_exceeded: _Optional[bool] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("run", "name", "status")
    RUN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    run: int
    name: str
    status: str
    def __init__(self, run: _Optional[int] = ..., name: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("run", "outputs_json", "lm_calls", "own_us")
    RUN_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    OWN_US_FIELD_NUMBER: _ClassVar[int]
    run: int
    outputs_json: bytes
    lm_calls: int
    own_us: int
    def __init__(self, run: _Optional[int] = ..., outputs_json: _Optional[bytes] = ..., lm_calls: _Optional[int] = ..., own_us: _Optional[int] = ...) -> None: ...

class RunError(_message.Message):
    __slots__ = ("run", "reason", "message", "category", "python_type", "retryable", "traceback", "lm_calls")
    RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    PYTHON_TYPE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    run: int
    reason: str
    message: str
    category: str
    python_type: str
    retryable: bool
    traceback: str
    lm_calls: int
    def __init__(self, run: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., category: _Optional[str] = ..., python_type: _Optional[str] = ..., retryable: _Optional[bool] = ..., traceback: _Optional[str] = ..., lm_calls: _Optional[int] = ...) -> None: ...

class CompileProgramRequest(_message.Message):
    __slots__ = ("program",)
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    program: ProgramDefinition
    def __init__(self, program: _Optional[_Union[ProgramDefinition, _Mapping]] = ...) -> None: ...

class CompileProgramResponse(_message.Message):
    __slots__ = ("dspy_program_id", "dialect", "error", "plan_json", "plan_fault", "lane")
    DSPY_PROGRAM_ID_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PLAN_JSON_FIELD_NUMBER: _ClassVar[int]
    PLAN_FAULT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    dspy_program_id: str
    dialect: Dialect
    error: ModuleFault
    plan_json: bytes
    plan_fault: str
    lane: Lane
    def __init__(self, dspy_program_id: _Optional[str] = ..., dialect: _Optional[_Union[Dialect, _Mapping]] = ..., error: _Optional[_Union[ModuleFault, _Mapping]] = ..., plan_json: _Optional[bytes] = ..., plan_fault: _Optional[str] = ..., lane: _Optional[_Union[Lane, str]] = ...) -> None: ...

class ParseCompletionRequest(_message.Message):
    __slots__ = ("program", "predictor", "prompt_adapter", "reply_json")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    PREDICTOR_FIELD_NUMBER: _ClassVar[int]
    PROMPT_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    REPLY_JSON_FIELD_NUMBER: _ClassVar[int]
    program: ProgramDefinition
    predictor: str
    prompt_adapter: str
    reply_json: bytes
    def __init__(self, program: _Optional[_Union[ProgramDefinition, _Mapping]] = ..., predictor: _Optional[str] = ..., prompt_adapter: _Optional[str] = ..., reply_json: _Optional[bytes] = ...) -> None: ...

class ParseCompletionResponse(_message.Message):
    __slots__ = ("outputs", "error")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    outputs: ParsedOutputs
    error: ParseFault
    def __init__(self, outputs: _Optional[_Union[ParsedOutputs, _Mapping]] = ..., error: _Optional[_Union[ParseFault, _Mapping]] = ...) -> None: ...

class ParsedOutputs(_message.Message):
    __slots__ = ("outputs_json", "marks")
    OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    outputs_json: bytes
    marks: _containers.RepeatedCompositeFieldContainer[ValueMark]
    def __init__(self, outputs_json: _Optional[bytes] = ..., marks: _Optional[_Iterable[_Union[ValueMark, _Mapping]]] = ...) -> None: ...

class ValueMark(_message.Message):
    __slots__ = ("path_json", "kind")
    PATH_JSON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    path_json: bytes
    kind: str
    def __init__(self, path_json: _Optional[bytes] = ..., kind: _Optional[str] = ...) -> None: ...

class ParseFault(_message.Message):
    __slots__ = ("python_type", "kind", "fields", "message")
    PYTHON_TYPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    python_type: str
    kind: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    message: str
    def __init__(self, python_type: _Optional[str] = ..., kind: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., message: _Optional[str] = ...) -> None: ...

class RenderPromptRequest(_message.Message):
    __slots__ = ("program", "predictor", "prompt_adapter", "inputs_json")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    PREDICTOR_FIELD_NUMBER: _ClassVar[int]
    PROMPT_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    program: ProgramDefinition
    predictor: str
    prompt_adapter: str
    inputs_json: bytes
    def __init__(self, program: _Optional[_Union[ProgramDefinition, _Mapping]] = ..., predictor: _Optional[str] = ..., prompt_adapter: _Optional[str] = ..., inputs_json: _Optional[bytes] = ...) -> None: ...

class RenderPromptResponse(_message.Message):
    __slots__ = ("messages_json", "error")
    MESSAGES_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    messages_json: bytes
    error: ModuleFault
    def __init__(self, messages_json: _Optional[bytes] = ..., error: _Optional[_Union[ModuleFault, _Mapping]] = ...) -> None: ...

class ModuleFault(_message.Message):
    __slots__ = ("reason", "message", "python_type")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PYTHON_TYPE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    python_type: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., python_type: _Optional[str] = ...) -> None: ...

class DescribeModuleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeModuleResponse(_message.Message):
    __slots__ = ("name", "signature", "error", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    signature: Signature
    error: ModuleFault
    kind: str
    def __init__(self, name: _Optional[str] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ..., error: _Optional[_Union[ModuleFault, _Mapping]] = ..., kind: _Optional[str] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ("solo_waiting",)
    SOLO_WAITING_FIELD_NUMBER: _ClassVar[int]
    solo_waiting: int
    def __init__(self, solo_waiting: _Optional[int] = ...) -> None: ...

class GetPoolResponse(_message.Message):
    __slots__ = ("workers", "module_names", "dialect", "shared_module_names", "restarts", "recycled", "lost", "optimizers")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    MODULE_NAMES_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    SHARED_MODULE_NAMES_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    RECYCLED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    module_names: _containers.RepeatedScalarFieldContainer[str]
    dialect: Dialect
    shared_module_names: _containers.RepeatedScalarFieldContainer[str]
    restarts: int
    recycled: int
    lost: int
    optimizers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., module_names: _Optional[_Iterable[str]] = ..., dialect: _Optional[_Union[Dialect, _Mapping]] = ..., shared_module_names: _Optional[_Iterable[str]] = ..., restarts: _Optional[int] = ..., recycled: _Optional[int] = ..., lost: _Optional[int] = ..., optimizers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("worker", "pid", "address", "state", "starts", "lane", "in_flight", "rss_bytes", "runs")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    pid: int
    address: str
    state: WorkerState
    starts: int
    lane: Lane
    in_flight: int
    rss_bytes: int
    runs: int
    def __init__(self, worker: _Optional[str] = ..., pid: _Optional[int] = ..., address: _Optional[str] = ..., state: _Optional[_Union[WorkerState, str]] = ..., starts: _Optional[int] = ..., lane: _Optional[_Union[Lane, str]] = ..., in_flight: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., runs: _Optional[int] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("resource", "action", "filters", "sorts", "limit", "offset", "arguments_json")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    SORTS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    resource: str
    action: str
    filters: _containers.RepeatedCompositeFieldContainer[QueryFilter]
    sorts: _containers.RepeatedCompositeFieldContainer[QuerySort]
    limit: int
    offset: int
    arguments_json: bytes
    def __init__(self, resource: _Optional[str] = ..., action: _Optional[str] = ..., filters: _Optional[_Iterable[_Union[QueryFilter, _Mapping]]] = ..., sorts: _Optional[_Iterable[_Union[QuerySort, _Mapping]]] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., arguments_json: _Optional[bytes] = ...) -> None: ...

class QueryFilter(_message.Message):
    __slots__ = ("field", "value_json")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    field: str
    value_json: bytes
    def __init__(self, field: _Optional[str] = ..., value_json: _Optional[bytes] = ...) -> None: ...

class QuerySort(_message.Message):
    __slots__ = ("field", "descending")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCENDING_FIELD_NUMBER: _ClassVar[int]
    field: str
    descending: bool
    def __init__(self, field: _Optional[str] = ..., descending: _Optional[bool] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("rows_json",)
    ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    rows_json: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, rows_json: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StartOptimizationRequest(_message.Message):
    __slots__ = ("job", "memory_bytes")
    JOB_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    job: str
    memory_bytes: int
    def __init__(self, job: _Optional[str] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class StartOptimizationResponse(_message.Message):
    __slots__ = ("worker", "pid", "address", "dialect")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    worker: str
    pid: int
    address: str
    dialect: Dialect
    def __init__(self, worker: _Optional[str] = ..., pid: _Optional[int] = ..., address: _Optional[str] = ..., dialect: _Optional[_Union[Dialect, _Mapping]] = ...) -> None: ...

class EndOptimizationRequest(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class EndOptimizationResponse(_message.Message):
    __slots__ = ("ended",)
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ended: bool
    def __init__(self, ended: _Optional[bool] = ...) -> None: ...

class OptimizeRequest(_message.Message):
    __slots__ = ("start", "examples", "begin", "lm_reply", "metric_reply", "tool_reply", "stop", "heartbeat")
    START_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    LM_REPLY_FIELD_NUMBER: _ClassVar[int]
    METRIC_REPLY_FIELD_NUMBER: _ClassVar[int]
    TOOL_REPLY_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    start: OptimizeStart
    examples: OptimizeExamples
    begin: OptimizeBegin
    lm_reply: LmReply
    metric_reply: OptimizeMetricReply
    tool_reply: ToolReply
    stop: OptimizeStop
    heartbeat: Heartbeat
    def __init__(self, start: _Optional[_Union[OptimizeStart, _Mapping]] = ..., examples: _Optional[_Union[OptimizeExamples, _Mapping]] = ..., begin: _Optional[_Union[OptimizeBegin, _Mapping]] = ..., lm_reply: _Optional[_Union[LmReply, _Mapping]] = ..., metric_reply: _Optional[_Union[OptimizeMetricReply, _Mapping]] = ..., tool_reply: _Optional[_Union[ToolReply, _Mapping]] = ..., stop: _Optional[_Union[OptimizeStop, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class OptimizeResponse(_message.Message):
    __slots__ = ("ready", "lm_call", "metric_call", "tool_call", "progress", "trial", "log", "result", "error", "heartbeat")
    READY_FIELD_NUMBER: _ClassVar[int]
    LM_CALL_FIELD_NUMBER: _ClassVar[int]
    METRIC_CALL_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ready: OptimizeReady
    lm_call: OptimizeLmCall
    metric_call: OptimizeMetricCall
    tool_call: ToolCall
    progress: OptimizeProgress
    trial: OptimizeTrial
    log: OptimizeLog
    result: OptimizeResult
    error: OptimizeError
    heartbeat: Heartbeat
    def __init__(self, ready: _Optional[_Union[OptimizeReady, _Mapping]] = ..., lm_call: _Optional[_Union[OptimizeLmCall, _Mapping]] = ..., metric_call: _Optional[_Union[OptimizeMetricCall, _Mapping]] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., progress: _Optional[_Union[OptimizeProgress, _Mapping]] = ..., trial: _Optional[_Union[OptimizeTrial, _Mapping]] = ..., log: _Optional[_Union[OptimizeLog, _Mapping]] = ..., result: _Optional[_Union[OptimizeResult, _Mapping]] = ..., error: _Optional[_Union[OptimizeError, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class OptimizeStart(_message.Message):
    __slots__ = ("program", "initial_state_json", "optimizer", "config_json", "metric", "seed", "threads", "prompt_lm", "prompt_lm_options_json", "teacher_lm", "teacher_lm_options_json", "traceparent", "job")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    INITIAL_STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_LM_FIELD_NUMBER: _ClassVar[int]
    PROMPT_LM_OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    TEACHER_LM_FIELD_NUMBER: _ClassVar[int]
    TEACHER_LM_OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    program: ProgramDefinition
    initial_state_json: bytes
    optimizer: str
    config_json: bytes
    metric: OptimizeMetric
    seed: int
    threads: int
    prompt_lm: LmCapabilities
    prompt_lm_options_json: bytes
    teacher_lm: LmCapabilities
    teacher_lm_options_json: bytes
    traceparent: str
    job: str
    def __init__(self, program: _Optional[_Union[ProgramDefinition, _Mapping]] = ..., initial_state_json: _Optional[bytes] = ..., optimizer: _Optional[str] = ..., config_json: _Optional[bytes] = ..., metric: _Optional[_Union[OptimizeMetric, _Mapping]] = ..., seed: _Optional[int] = ..., threads: _Optional[int] = ..., prompt_lm: _Optional[_Union[LmCapabilities, _Mapping]] = ..., prompt_lm_options_json: _Optional[bytes] = ..., teacher_lm: _Optional[_Union[LmCapabilities, _Mapping]] = ..., teacher_lm_options_json: _Optional[bytes] = ..., traceparent: _Optional[str] = ..., job: _Optional[str] = ...) -> None: ...

class OptimizeMetric(_message.Message):
    __slots__ = ("name", "config_json", "threshold", "lm")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LM_FIELD_NUMBER: _ClassVar[int]
    name: str
    config_json: bytes
    threshold: float
    lm: LmCapabilities
    def __init__(self, name: _Optional[str] = ..., config_json: _Optional[bytes] = ..., threshold: _Optional[float] = ..., lm: _Optional[_Union[LmCapabilities, _Mapping]] = ...) -> None: ...

class OptimizeExamples(_message.Message):
    __slots__ = ("split", "examples")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    split: str
    examples: _containers.RepeatedCompositeFieldContainer[OptimizeExample]
    def __init__(self, split: _Optional[str] = ..., examples: _Optional[_Iterable[_Union[OptimizeExample, _Mapping]]] = ...) -> None: ...

class OptimizeExample(_message.Message):
    __slots__ = ("id", "inputs_json", "outputs_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    inputs_json: bytes
    outputs_json: bytes
    def __init__(self, id: _Optional[str] = ..., inputs_json: _Optional[bytes] = ..., outputs_json: _Optional[bytes] = ...) -> None: ...

class OptimizeBegin(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OptimizeStop(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class OptimizeReady(_message.Message):
    __slots__ = ("predictors",)
    PREDICTORS_FIELD_NUMBER: _ClassVar[int]
    predictors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, predictors: _Optional[_Iterable[str]] = ...) -> None: ...

class OptimizeLmCall(_message.Message):
    __slots__ = ("role", "call")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    role: str
    call: LmCall
    def __init__(self, role: _Optional[str] = ..., call: _Optional[_Union[LmCall, _Mapping]] = ...) -> None: ...

class OptimizeMetricCall(_message.Message):
    __slots__ = ("call", "example_id", "inputs_json", "expected_json", "outputs_json")
    CALL_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    call: int
    example_id: str
    inputs_json: bytes
    expected_json: bytes
    outputs_json: bytes
    def __init__(self, call: _Optional[int] = ..., example_id: _Optional[str] = ..., inputs_json: _Optional[bytes] = ..., expected_json: _Optional[bytes] = ..., outputs_json: _Optional[bytes] = ...) -> None: ...

class OptimizeMetricReply(_message.Message):
    __slots__ = ("call", "score", "feedback", "error")
    CALL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    call: int
    score: float
    feedback: str
    error: str
    def __init__(self, call: _Optional[int] = ..., score: _Optional[float] = ..., feedback: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class OptimizeProgress(_message.Message):
    __slots__ = ("phase", "trial", "trials", "lm_calls", "metric_calls", "message")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    METRIC_CALLS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    phase: str
    trial: int
    trials: int
    lm_calls: int
    metric_calls: int
    message: str
    def __init__(self, phase: _Optional[str] = ..., trial: _Optional[int] = ..., trials: _Optional[int] = ..., lm_calls: _Optional[int] = ..., metric_calls: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class OptimizeTrial(_message.Message):
    __slots__ = ("number", "score", "examples", "full", "state_json", "note")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    number: int
    score: float
    examples: int
    full: bool
    state_json: bytes
    note: str
    def __init__(self, number: _Optional[int] = ..., score: _Optional[float] = ..., examples: _Optional[int] = ..., full: _Optional[bool] = ..., state_json: _Optional[bytes] = ..., note: _Optional[str] = ...) -> None: ...

class OptimizeLog(_message.Message):
    __slots__ = ("level", "text")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    level: str
    text: str
    def __init__(self, level: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class OptimizeResult(_message.Message):
    __slots__ = ("state_json", "best_score", "lm_calls", "metric_calls")
    STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    BEST_SCORE_FIELD_NUMBER: _ClassVar[int]
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    METRIC_CALLS_FIELD_NUMBER: _ClassVar[int]
    state_json: bytes
    best_score: float
    lm_calls: int
    metric_calls: int
    def __init__(self, state_json: _Optional[bytes] = ..., best_score: _Optional[float] = ..., lm_calls: _Optional[int] = ..., metric_calls: _Optional[int] = ...) -> None: ...

class OptimizeError(_message.Message):
    __slots__ = ("reason", "message", "python_type", "retryable", "traceback", "lm_calls", "metric_calls")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PYTHON_TYPE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    METRIC_CALLS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    python_type: str
    retryable: bool
    traceback: str
    lm_calls: int
    metric_calls: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., python_type: _Optional[str] = ..., retryable: _Optional[bool] = ..., traceback: _Optional[str] = ..., lm_calls: _Optional[int] = ..., metric_calls: _Optional[int] = ...) -> None: ...
