"""Holds one actor for each process that the supervisor asks for, and tells it how they are."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from signet_sidecar.config import Config
from signet_sidecar.dialect import dialect
from signet_sidecar.on_ray.actor import ProcessActor
from signet_sidecar.worker.link import SupervisorLink

LOOK_S = 0.5
LOOK_SOON_S = 0.1
ANSWER_S = 20.0
LEAVE_S = 1.0
LOST = -1
# Of a process's own place on its own machine; the rest is the same everywhere.
_NOT_SENT = frozenset({"SIGNET_SIDECAR_ADDRESS", "SIGNET_METRICS_ADDRESS", "SIGNET_INTERNAL_TOKEN_FILE", "SIGNET_PARENT_PIPE"})

logger = logging.getLogger(__name__)


class Driver:
    """Between the supervisor's lines and Ray's actors; `ray` is the module, connected."""

    def __init__(self, ray: Any, link: SupervisorLink, settings: Mapping[str, str]) -> None:
        self._ray = ray
        self._link = link
        self._settings = json.dumps(dict(settings))
        # Each takes one core of its node: Ray spreads them accordingly. Who starts again is the supervisor's to say.
        self._actor_class = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")(ProcessActor)
        self._actors: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, line: str) -> None:
        """Does what one line of the supervisor says."""
        order = json.loads(line)
        name = order["name"]
        if order["order"] == "start":
            self._begin(self._hold(name, {**order, "dialect": str(dialect())}))
        elif (actor := self._actors.get(name)) is not None:
            if order["order"] == "kill":
                self._begin(self._kill(actor))
            else:
                self._begin(_whatever(getattr(actor, order["order"]).remote()))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hold(self, name: str, order: dict[str, Any]) -> None:
        code = LOST
        actor = self._actors[name] = self._actor_class.remote()
        try:
            # Answers once a node has room. The settings hold the token: Ray keeps what makes an actor, but no call of it.
            await actor.start.remote(json.dumps(order), self._settings)
            while True:
                state = json.loads(await asyncio.wait_for(_answer(actor.look.remote()), ANSWER_S))
                if state["code"] is not None:
                    code = state["code"]
                    break
                self._link.report("process", name=name, **state)
                await asyncio.sleep(LOOK_S if state["ready"] else LOOK_SOON_S)
        except Exception as error:
            # Whatever it was, the process is out of reach: its actor must not outlive it.
            logger.warning("a process on the cluster is lost", extra={"worker": name, "cause": first_lines(error)})
        finally:
            del self._actors[name]
            await self._kill(actor)
            self._link.report("ended", name=name, code=code)

    async def _kill(self, actor: Any) -> None:
        await _whatever(actor.leave.remote())
        self._ray.kill(actor)


def settings_of(env: Mapping[str, str], config: Config) -> dict[str, str]:
    """What processes on nodes are told of the sidecar's environment."""
    sent = {
        name: value
        for name, value in env.items()
        if name.startswith(("SIGNET_", "OTEL_")) and not name.startswith("SIGNET_RAY_") and name not in _NOT_SENT
    }
    return {**sent, "SIGNET_INTERNAL_TOKEN": config.token}


async def _answer(reference: Any) -> Any:
    return await reference


async def _whatever(reference: Any) -> None:
    try:
        await asyncio.wait_for(_answer(reference), LEAVE_S)
    except Exception as error:
        logger.debug("an actor did not answer", extra={"cause": first_lines(error)})


def first_lines(error: Exception) -> str:
    """What an error says, in few words."""
    text = str(error).strip().splitlines()
    # Of an exception in an actor the last line is what it said.
    return " … ".join(dict.fromkeys([*text[:1], *text[-1:]]))[:300] or type(error).__name__


def environment_for_ray() -> None:
    """Keeps Ray from telling anybody of its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
