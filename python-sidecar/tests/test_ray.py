"""A cluster in the settings: what is refused, and what goes on where none is. With a real one: `test/e2e/ray.test.ts`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from signet_sidecar.config import ConfigError, read_config
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.worker_process import worker_environment
from tests.support import TOKEN, auth, eventually, program, reply, session, sidecar

NOBODY = "def init(*_, **__):\n    raise ConnectionError('nobody is there')\n"


def installed(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    spec = importlib.util.spec_from_loader("ray", None) if is_there else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head:6379", "ray://head.example:10001", "[::1]:6379"])
def test_an_address_of_ray_is_taken(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    installed(monkeypatch, True)
    env = {"SIGNET_INTERNAL_TOKEN": TOKEN, "SIGNET_RAY_ADDRESS": address, "SIGNET_RAY_WORKERS": "5"}
    ray = read_config(env).ray
    assert (ray.address, ray.workers, ray.solo_workers) == (address, 5, 5)


@pytest.mark.parametrize("address", ["head", "http://head:1", "ray://", "local", "a b:1", "head:1;rm", "ray://head:1/x"])
def test_any_other_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    installed(monkeypatch, True)
    with pytest.raises(ConfigError, match="SIGNET_RAY_ADDRESS must be"):
        read_config({"SIGNET_INTERNAL_TOKEN": TOKEN, "SIGNET_RAY_ADDRESS": address})


def test_an_address_without_ray_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, False)
    with pytest.raises(ConfigError, match=r"requirements-ray\.lock"):
        read_config({"SIGNET_INTERNAL_TOKEN": TOKEN, "SIGNET_RAY_ADDRESS": "head:6379"})
    assert read_config({"SIGNET_INTERNAL_TOKEN": TOKEN}).ray.address == ""


def test_neither_the_supervisor_nor_a_worker_imports_ray() -> None:
    code = "import signet_sidecar.server, signet_sidecar.worker.server, sys; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_token_of_a_cluster_reaches_no_process_that_runs_code_of_a_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the cluster")
    assert "RAY_AUTH_TOKEN" not in worker_environment(tmp_path)
    assert worker_environment(tmp_path, keeps_ray=True)["RAY_AUTH_TOKEN"] == "of the cluster"


def test_without_its_cluster_a_sidecar_serves_from_its_own_workers_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text(NOBODY)
    with sidecar(PYTHONPATH=str(tmp_path), SIGNET_RAY_ADDRESS="127.0.0.1:1", SIGNET_RAY_WORKERS="1") as made:
        made.ready()
        with session(made, lambda call: reply(call, "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"), program()) as executor:
            assert executor.run({"question": "?"}).outputs_json == b'{"answer":"yes"}'
        lanes = {worker.lane: worker.state for worker in made.pool().workers}
        assert lanes[pb.LANE_BULK] == lanes[pb.LANE_BULK_SOLO] == pb.WORKER_STATE_STARTING
        eventually(lambda: [log for log in made.logs if log.get("cause") == "nobody is there"])
        started = made.stub.StartOptimization(pb.StartOptimizationRequest(job="j1"), timeout=60, metadata=auth())
        assert Path(f"/proc/{started.pid}/cmdline").read_bytes().count(b"signet_sidecar.optimize") == 1
