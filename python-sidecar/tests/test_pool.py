"""The pool of worker processes, its health, and what is left when something dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from signet_sidecar.config import ConfigError, read_config
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.gen import sidecar_pb2_grpc as rpc
from tests.support import TOKEN, ExecutorSession, Sidecar, auth, eventually, program, reply, session, sidecar

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE = "signet.sidecar.v1.SidecarService"


def health_of(made: Sidecar, service: str = "") -> Any:
    stub: Any = health_pb2_grpc.HealthStub(made.channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_listening_is_the_only_line_on_stdout(shared: Sidecar) -> None:
    assert set(shared.listening) == {"event", "address"}
    assert shared.listening["event"] == "listening"
    assert not shared.address.endswith(":0")


def test_health_follows_the_pool_through_a_killed_worker() -> None:
    with sidecar() as made:
        assert health_of(made) == NOT_SERVING
        first = made.ready()
        assert (health_of(made), health_of(made, SERVICE)) == (SERVING, SERVING)
        with session(made, lambda call: None, program()) as executor:
            executor.start({"question": "?"})
            eventually(lambda: executor.calls)
            os.kill(first.pid, signal.SIGKILL)
            eventually(lambda: health_of(made, SERVICE) == NOT_SERVING)
            eventually(lambda: executor.closed.is_set())
            assert executor.ended is not None
            assert executor.ended.code() == grpc.StatusCode.UNAVAILABLE
        second = made.ready()
        assert second.worker != first.worker
        assert (second.starts, health_of(made)) == (2, SERVING)
        with session(made, program=program()) as executor:
            assert isinstance(executor.run({"question": "?"}), pb.Result)


def test_a_worker_that_stands_still_is_replaced() -> None:
    with sidecar(SIGNET_SIDECAR_WORKERS="2") as made:
        eventually(lambda: all(worker.state == pb.WORKER_STATE_READY for worker in made.pool().workers))
        frozen, other = made.pool().workers
        os.kill(frozen.pid, signal.SIGSTOP)
        eventually(lambda: not alive(frozen.pid), bound_s=20)
        assert alive(other.pid)
        replaced = eventually(lambda: [w for w in made.pool().workers if w.pid not in (frozen.pid, other.pid) and w.address])
        assert replaced[0].starts == 2


def test_sigterm_drains_and_exits_zero_with_nothing_left() -> None:
    made = Sidecar()
    worker = made.ready()
    executor = ExecutorSession(worker.address, lambda call: None)
    executor.define(program())
    run = executor.start({"question": "?"})
    eventually(lambda: executor.calls)
    made.process.send_signal(signal.SIGTERM)
    assert executor.wait("credit").limit == 0
    refused = executor.run({"question": "late"})
    assert isinstance(refused, pb.RunError)
    assert refused.reason == "SHUTTING_DOWN"
    executor.send(pb.ExecutorFrame(lm_reply=reply(executor.calls[0], "[[ ## answer ## ]]\nyes")))
    assert isinstance(executor.outcome(run), pb.Result)
    assert made.stop() == 0
    eventually(lambda: executor.closed.is_set())
    executor.close()
    assert not alive(worker.pid)


def test_a_run_that_never_ends_does_not_hold_the_drain_beyond_its_bound() -> None:
    made = Sidecar()
    worker = made.ready()
    executor = ExecutorSession(worker.address, lambda call: None)
    executor.define(program())
    executor.start({"question": "?"})
    eventually(lambda: executor.calls)
    made.process.send_signal(signal.SIGINT)
    assert made.process.wait(20) == 0
    assert not alive(worker.pid)
    executor.close()
    made.stop()


@pytest.mark.parametrize("frozen", [False, True])
def test_no_worker_outlives_a_killed_supervisor(frozen: bool) -> None:
    made = Sidecar(SIGNET_SIDECAR_WORKERS="2")
    eventually(lambda: all(worker.state == pb.WORKER_STATE_READY for worker in made.pool().workers))
    pids = [worker.pid for worker in made.pool().workers]
    if frozen:
        os.kill(pids[0], signal.SIGSTOP)
    made.process.kill()
    eventually(lambda: not any(map(alive, pids)), bound_s=5)
    made.stop()


def test_each_worker_leads_a_process_group_of_its_own(shared: Sidecar) -> None:
    worker = shared.ready()
    assert os.getpgid(worker.pid) == worker.pid
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes().decode().split("\0")
    assert "OMP_NUM_THREADS=1" in environment
    assert "LITELLM_LOCAL_MODEL_COST_MAP=True" in environment


def test_the_supervisor_stays_light(shared: Sidecar) -> None:
    maps = Path(f"/proc/{shared.process.pid}/maps").read_text()
    assert "pydantic_core" not in maps


@pytest.mark.parametrize("metadata", [(), auth("wrong"), (*auth(), *auth()), (("authorization", TOKEN),)])
def test_no_call_passes_without_the_internal_token(shared: Sidecar, metadata: tuple[tuple[str, str], ...]) -> None:
    calls: list[Any] = [
        lambda stub: stub.GetPool(pb.GetPoolRequest(), timeout=5, metadata=metadata),
        lambda stub: stub.CompileProgram(pb.CompileProgramRequest(), timeout=5, metadata=metadata),
        lambda stub: stub.DescribeModule(pb.DescribeModuleRequest(name="os"), timeout=5, metadata=metadata),
        lambda stub: next(stub.Session(iter([]), timeout=5, metadata=metadata)),
    ]
    with grpc.insecure_channel(shared.ready().address) as worker:
        for stub in (shared.stub, rpc.SidecarServiceStub(worker)):
            for call in calls:
                with pytest.raises(grpc.RpcError) as caught:
                    call(stub)
                assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_reflection_tells_of_the_service_and_of_health(shared: Sidecar) -> None:
    database = ProtoReflectionDescriptorDatabase(shared.channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
    assert database.FindFileContainingSymbol("grpc.health.v1.Health").name


def test_the_supervisor_sends_sessions_to_the_workers(shared: Sidecar) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        next(shared.stub.Session(iter([]), timeout=5, metadata=auth()))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


def start_with(**env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SIGNET_", "OTEL_"))}
    command = [sys.executable, "-m", "signet_sidecar"]
    return subprocess.run(command, env={**clean, **env}, capture_output=True, text=True, timeout=30, check=False)


def test_all_faults_of_the_environment_are_told_at_once() -> None:
    ended = start_with(
        SIGNET_SIDECAR_ADDRESS="nowhere",
        SIGNET_SIDECAR_WORKERS="many",
        SIGNET_PYTHON_MODULES="A=b,C=os.path:join,C=x:Y",
        SIGNET_LOG_LEVEL="loud",
        OTEL_TRACES_SAMPLER_ARG="2",
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    for name in ("ADDRESS", "WORKERS", "INTERNAL_TOKEN", "MODULES takes", "names `C` twice", "LOG_LEVEL", "SAMPLER_ARG"):
        assert name in ended.stderr


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    with sidecar(SIGNET_INTERNAL_TOKEN="", SIGNET_INTERNAL_TOKEN_FILE=str(path)) as made:
        assert made.pool().dialect.dspy == "3.4.1"


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = start_with(SIGNET_SIDECAR_ADDRESS=address, SIGNET_INTERNAL_TOKEN=TOKEN)
    assert ended.returncode == 1
    assert f"cannot listen on {address}" in ended.stderr


def test_logs_are_json_lines_without_the_token() -> None:
    made = Sidecar(SIGNET_LOG_LEVEL="debug")
    made.ready()
    with session(made, program=program()) as executor:
        executor.run({"question": "a secret question"})
    made.stop()
    assert made.logs
    assert all("raw" not in line for line in made.logs), made.logs
    assert TOKEN not in json.dumps(made.logs)
    assert "a secret question" not in json.dumps(made.logs)


def test_metrics_tell_of_the_pool() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with sidecar(SIGNET_METRICS_ADDRESS=address) as made:
        made.ready()
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
            text = response.read().decode()
        assert 'signet_sidecar_workers{state="ready"} 1' in text
        assert "signet_sidecar_worker_restarts_total 0" in text
        for hostile in ("/", "/metrics/../x", "/" + "x" * 100_000):
            with pytest.raises((urllib.error.HTTPError, ConnectionError)):
                urllib.request.urlopen(f"http://{address}{hostile}", timeout=5)
        assert health_of(made) == SERVING


def test_a_worker_that_has_run_enough_makes_way_for_one_that_is_ready_first() -> None:
    with sidecar(SIGNET_SIDECAR_RECYCLE_RUNS="3") as made:
        old = made.ready()
        executor = ExecutorSession(old.address, None)
        executor.define(program())
        for _ in range(3):
            assert isinstance(executor.run({"question": "?"}), pb.Result)
        successor = eventually(lambda: next((w for w in made.pool().workers if w.pid != old.pid and w.address), None))
        later = ExecutorSession(successor.address, None)
        later.define(program())
        executor.wait("retiring")
        assert executor.wait("credit").limit == 0
        executor.close()
        eventually(lambda: not alive(old.pid), bound_s=10)
        assert isinstance(later.run({"question": "?"}), pb.Result)
        pool = made.pool()
        assert (pool.recycled, pool.restarts, pool.lost) == (1, 0, 0)
        assert health_of(made) == SERVING
        later.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGNET_SIDECAR_SOLO_WORKERS", "0"),
        ("SIGNET_SIDECAR_RECYCLE_RUNS", "-1"),
        ("SIGNET_SIDECAR_RECYCLE_MIB", "1e3"),
        ("SIGNET_SIDECAR_DRAIN_SECONDS", "soon"),
        ("SIGNET_PYTHON_MODULES", "A=b:C@alone"),
    ],
)
def test_settings_of_the_pool_are_checked(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read_config({"SIGNET_INTERNAL_TOKEN": TOKEN, name: value})
