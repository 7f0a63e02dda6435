"""The process's settings, read once from the environment."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_RAY = re.compile(r"auto|(ray://)?(\[[0-9a-fA-F:]+\]|[^:\s/]+):\d{1,5}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})")
_MODULE = re.compile(r"([A-Za-z_][\w.\-]*)=([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)(@shared)?")
# One variable sets the level of all services; the others know these words.
_LEVEL_WORDS = {"warn": "warning", "trace": "debug", "fatal": "error", "silent": "error"}
LOG_LEVELS = ("debug", "info", "warning", "error")
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


class ConfigError(Exception):
    """All faults of the environment in one message, secrets left out."""


@dataclass(frozen=True)
class Recycle:
    """When a worker is replaced by a fresh one: after so many runs, minutes, or MiB of resident memory; 0 means never."""

    runs: int
    minutes: int
    mib: int


@dataclass(frozen=True)
class Ray:
    """The cluster for what nobody waits for on the line, and how many shared and solo workers it holds; no address, no cluster."""

    address: str
    workers: int
    solo_workers: int


@dataclass(frozen=True)
class Config:
    """What the supervisor and its workers are told."""

    host: str
    port: int
    workers: int
    solo_workers: int
    optimizers: int
    optimizer_mib: int
    drain_s: int
    recycle: Recycle
    ray: Ray
    token: str = field(repr=False)
    python_path: str
    modules: Mapping[str, str]
    shared_modules: frozenset[str]
    colbert_url: str
    log_level: str
    otlp_endpoint: str
    sampler: str
    sampler_ratio: float
    metrics_host: str
    metrics_port: int | None


def read_config(env: Mapping[str, str]) -> Config:
    """The settings; raises ConfigError naming every fault at once."""
    faults: list[str] = []
    host, port = _address(env, "SIGNET_SIDECAR_ADDRESS", "127.0.0.1:50053", faults) or ("", 0)
    metrics = _address(env, "SIGNET_METRICS_ADDRESS", "", faults)
    modules, shared_modules = _modules(env, faults)
    workers = _whole(env, "SIGNET_SIDECAR_WORKERS", _cores(), (1, 64), faults)
    config = Config(
        host=host,
        port=port,
        workers=workers,
        solo_workers=_whole(env, "SIGNET_SIDECAR_SOLO_WORKERS", workers, (1, 64), faults),
        optimizers=_whole(env, "SIGNET_SIDECAR_OPTIMIZERS", 1, (0, 64), faults),
        optimizer_mib=_whole(env, "SIGNET_SIDECAR_OPTIMIZER_MIB", 1_024, (256, 1_048_576), faults),
        drain_s=_whole(env, "SIGNET_SIDECAR_DRAIN_SECONDS", 10, (0, 3_600), faults),
        recycle=Recycle(
            runs=_whole(env, "SIGNET_SIDECAR_RECYCLE_RUNS", 100_000, (0, 1_000_000_000), faults),
            minutes=_whole(env, "SIGNET_SIDECAR_RECYCLE_MINUTES", 720, (0, 525_600), faults),
            mib=_whole(env, "SIGNET_SIDECAR_RECYCLE_MIB", 1_024, (0, 1_048_576), faults),
        ),
        ray=_ray(env, faults),
        token=_token(env, faults),
        python_path=_python_path(env, faults),
        modules=modules,
        shared_modules=shared_modules,
        colbert_url=_url(env, "SIGNET_COLBERT_URL", faults),
        log_level=_one_of(env, "SIGNET_LOG_LEVEL", "info", LOG_LEVELS, faults),
        otlp_endpoint=env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip(),
        sampler=_one_of(env, "OTEL_TRACES_SAMPLER", "parentbased_always_on", SAMPLERS, faults),
        sampler_ratio=_ratio(env, faults),
        metrics_host=metrics[0] if metrics else "",
        metrics_port=metrics[1] if metrics else None,
    )
    if faults:
        raise ConfigError("; ".join(faults))
    return config


def _address(env: Mapping[str, str], name: str, default: str, faults: list[str]) -> tuple[str, int] | None:
    text = env.get(name, "").strip() or default
    if not text:
        return None
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65_535:
        faults.append(f"{name} must be host:port, not `{text}`")
        return None
    return match[1], int(match[2])


def _cores() -> int:
    return min(64, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _whole(env: Mapping[str, str], name: str, default: int, bounds: tuple[int, int], faults: list[str]) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and bounds[0] <= int(text) <= bounds[1]):
        faults.append(f"{name} must be a number from {bounds[0]} to {bounds[1]}, not `{text}`")
        return default
    return int(text)


def _ray(env: Mapping[str, str], faults: list[str]) -> Ray:
    address = env.get("SIGNET_RAY_ADDRESS", "").strip()
    if address and _RAY.fullmatch(address) is None:
        faults.append(f"SIGNET_RAY_ADDRESS must be auto, host:port or ray://host:port, not `{address}`")
    elif address and importlib.util.find_spec("ray") is None:
        faults.append("SIGNET_RAY_ADDRESS is set, but Ray is not installed: add what requirements-ray.lock names")
    workers = _whole(env, "SIGNET_RAY_WORKERS", 2, (1, 256), faults)
    return Ray(address, workers, _whole(env, "SIGNET_RAY_SOLO_WORKERS", workers, (0, 256), faults))


def _token(env: Mapping[str, str], faults: list[str]) -> str:
    token = env.get("SIGNET_INTERNAL_TOKEN", "").strip()
    path = env.get("SIGNET_INTERNAL_TOKEN_FILE", "").strip()
    if not token and path:
        try:
            with open(path, encoding="utf-8") as file:
                token = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"SIGNET_INTERNAL_TOKEN_FILE cannot be read: {error}")
            return ""
    if not token:
        faults.append("SIGNET_INTERNAL_TOKEN (or SIGNET_INTERNAL_TOKEN_FILE) must be set")
    elif not token.isascii() or not token.isprintable():
        faults.append("SIGNET_INTERNAL_TOKEN must be printable ASCII")
    return token


def _python_path(env: Mapping[str, str], faults: list[str]) -> str:
    path = env.get("SIGNET_PYTHON_PATH", "").strip()
    if path and not os.path.isdir(path):
        faults.append(f"SIGNET_PYTHON_PATH is not a folder: `{path}`")
    return path


def _url(env: Mapping[str, str], name: str, faults: list[str]) -> str:
    text = env.get(name, "").strip()
    if text and re.fullmatch(r"https?://[^\s/]+[^\s]*", text) is None:
        faults.append(f"{name} must be an http or https address")
    return text


def _modules(env: Mapping[str, str], faults: list[str]) -> tuple[dict[str, str], frozenset[str]]:
    modules: dict[str, str] = {}
    shared: set[str] = set()
    for part in env.get("SIGNET_PYTHON_MODULES", "").split(","):
        if not part.strip():
            continue
        match = _MODULE.fullmatch(part.strip())
        if match is None:
            faults.append(f"SIGNET_PYTHON_MODULES takes Name=package.module:Class, not `{part.strip()}`")
        elif match[1] in modules:
            faults.append(f"SIGNET_PYTHON_MODULES names `{match[1]}` twice")
        else:
            modules[match[1]] = f"{match[2]}:{match[3]}"
            if match[4]:
                shared.add(match[1])
    return modules, frozenset(shared)


def _one_of(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...], faults: list[str]) -> str:
    text = env.get(name, "").strip().lower() or default
    text = _LEVEL_WORDS.get(text, text) if name == "SIGNET_LOG_LEVEL" else text
    if text not in allowed:
        faults.append(f"{name} must be one of {', '.join(allowed)}, not `{text}`")
    return text


def _ratio(env: Mapping[str, str], faults: list[str]) -> float:
    text = env.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        faults.append(f"OTEL_TRACES_SAMPLER_ARG must be between 0 and 1, not `{text}`")
    return ratio
