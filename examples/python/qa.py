"""Signet from Python with plain grpcio: create, initialize, execute, stream, wrong inputs, a deadline."""

import json
import os

import grpc
from google.rpc import error_details_pb2, status_pb2
from signet.v1 import common_pb2, execution_pb2, program_pb2
from signet.v1 import program_service_pb2 as programs
from signet.v1 import program_service_pb2_grpc as programs_grpc
from signet.v1 import runtime_service_pb2 as runtime
from signet.v1 import runtime_service_pb2_grpc as runtime_grpc

SPEC = "question: str, context: list[str] -> answer: str, confidence: float"


def main() -> None:
    # Over a network: grpc.secure_channel(address, grpc.ssl_channel_credentials()).
    with grpc.insecure_channel(os.environ.get("SIGNET_ADDRESS", "127.0.0.1:50050")) as channel:
        metadata = [("authorization", "Bearer " + os.environ["SIGNET_KEY"])]
        catalog = programs_grpc.ProgramServiceStub(channel)
        runner = runtime_grpc.RuntimeServiceStub(channel)

        program = catalog.CreateProgram(
            programs.CreateProgramRequest(name="python example", signature_spec=SPEC), metadata=metadata
        )
        print("created", program.slug)

        program = runner.InitializeProgram(
            runtime.InitializeProgramRequest(program=program.slug), metadata=metadata
        )
        print("initialized", program_pb2.ProgramStatus.Name(program.status).removeprefix("PROGRAM_STATUS_"))

        inputs = payload({"question": "Who wrote the first program?", "context": ["Ada Lovelace wrote it."]})
        request = runtime.ExecuteProgramRequest(program=program.slug, inputs=inputs)
        result = runner.ExecuteProgram(request, metadata=metadata, timeout=60)
        status = execution_pb2.ExecutionStatus.Name(result.status).removeprefix("EXECUTION_STATUS_")
        # The answer comes in the form that the inputs had: JSON text, in which every digit is kept.
        print(f"executed {status}: {json.loads(result.outputs.json)['answer']}")

        last = None
        stream = runtime.StreamProgramRequest(program=program.slug, inputs=inputs)
        for event in runner.StreamProgram(stream, metadata=metadata):
            kind = event.WhichOneof("event")
            if kind != last:
                print("streamed", kind)
            last = kind

        try:
            wrong = runtime.ExecuteProgramRequest(program=program.slug, inputs=payload({"question": 7}))
            runner.ExecuteProgram(wrong, metadata=metadata)
        except grpc.RpcError as error:
            explain("refused", error)
        try:
            runner.ExecuteProgram(request, metadata=metadata, timeout=0.001)
        except grpc.RpcError as error:
            explain("late", error)


def payload(value: dict) -> common_pb2.Payload:
    return common_pb2.Payload(json=json.dumps(value).encode())


def explain(what: str, error: grpc.RpcError) -> None:
    """Shows the reason and the fields, which stand in the details of the status."""
    reason, fields = error.code().name, []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(bad):
                fields = sorted(violation.field for violation in bad.field_violations)
    print(what, reason)
    for field in fields:
        print(" ", field)


if __name__ == "__main__":
    main()
