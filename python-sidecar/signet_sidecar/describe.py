"""Looks at an allow-listed name in a short-lived process, since importing a user's code can do anything."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from signet_sidecar.config import Config
from signet_sidecar.errors import DefinitionError, Fault
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.wire import write_fault, write_signature
from signet_sidecar.worker_process import worker_environment

TIMEOUT_S = 30.0
_SECRETS = ("SIGNET_INTERNAL_TOKEN", "SIGNET_INTERNAL_TOKEN_FILE")


class Describer:
    """One look at a time, each at most 30 s."""

    def __init__(self, config: Config) -> None:
        self._modules = config.modules
        self._python_path = config.python_path
        self._turn = asyncio.Semaphore(1)

    async def describe(self, name: str) -> pb.DescribeModuleResponse:
        """What the name declares, or why it could not be read; a name outside the allow-list imports nothing."""
        target = self._modules.get(name)
        if target is None:
            fault = Fault("MODULE_INVALID", f"`{name[:200]}` is not in SIGNET_PYTHON_MODULES")
            return pb.DescribeModuleResponse(name=name, error=write_fault(fault))
        async with self._turn:
            with tempfile.TemporaryDirectory(prefix="signet-describe-") as scratch:
                response = await self._look(target, Path(scratch))
        response.name = name
        return response

    async def _look(self, target: str, scratch: Path) -> pb.DescribeModuleResponse:
        answer = scratch / "answer"
        env = {key: value for key, value in worker_environment(scratch).items() if key not in _SECRETS}
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "signet_sidecar.describe",
                "--target",
                target,
                "--answer",
                str(answer),
                "--path",
                self._python_path,
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            env=env,
        )
        try:
            await asyncio.wait_for(process.wait(), TIMEOUT_S)
            why = f"{target} ended the process that read it"
        except TimeoutError:
            why = f"{target} took longer than {TIMEOUT_S:.0f} s to read"
        finally:
            _end_group(process.pid)
            await process.wait()
        if not answer.exists():
            return pb.DescribeModuleResponse(error=write_fault(Fault("MODULE_INVALID", why)))
        return pb.DescribeModuleResponse.FromString(answer.read_bytes())


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main() -> None:
    """The short-lived process: writes its answer whole or not at all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--path", default="")
    arguments = parser.parse_args()
    if arguments.path:
        # Last: a user's `json.py` must not stand before Python's own.
        sys.path.append(os.path.abspath(arguments.path))
    from signet_sidecar.dspy_engine.describe import describe, kind_of

    try:
        response = pb.DescribeModuleResponse(signature=write_signature(describe(arguments.target)))
    except DefinitionError as error:
        response = pb.DescribeModuleResponse(error=write_fault(error.fault))
    response.kind = kind_of(arguments.target)
    unfinished = arguments.answer.with_suffix(".part")
    unfinished.write_bytes(response.SerializeToString())
    unfinished.rename(arguments.answer)


if __name__ == "__main__":
    main()
