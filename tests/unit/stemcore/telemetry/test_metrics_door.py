"""The operators' port over HTTP, also while the event loop stands still."""

import asyncio
import socket
import threading
from collections.abc import Mapping

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from stemcore.health import Check, from_threads
from stemcore.telemetry.heartbeats import EVENT_LOOP, Heartbeats
from stemcore.telemetry.metrics_door import MetricsSettings, Probe, metrics_door

ANYWHERE_FREE = MetricsSettings(port=0)
ANSWERED_WITHIN_S = 20.0


def well() -> Mapping[str, str]:
    return {}


def get(address: str | None, path: str) -> httpx.Response:
    assert address is not None
    return httpx.get(f"{address}{path}", timeout=ANSWERED_WITHIN_S)


def test_metrics_are_those_of_the_registry() -> None:
    registry = CollectorRegistry()
    Counter("songs", "Songs.", registry=registry).inc(3)
    with metrics_door(ANYWHERE_FREE, registry, live=well, ready=well) as address:
        answer = get(address, "/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "songs_total 3.0" in answer.text
        assert get(address, "/anything").status_code == 404


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready"])
def test_a_probe_names_what_is_missing(path: str) -> None:
    def ill() -> Mapping[str, str]:
        return {"database": "It is away."}

    probes: dict[str, Probe] = {"live": well, "ready": well, path.rpartition("/")[2]: ill}
    with metrics_door(ANYWHERE_FREE, CollectorRegistry(), **probes) as address:
        answer = get(address, path)
        assert answer.status_code == 503
        assert answer.json() == {"status": "missing", "missing": {"database": "It is away."}}
        others = {"/healthz/live", "/healthz/ready"} - {path}
        assert [get(address, other).status_code for other in others] == [200]


def test_without_a_port_there_is_no_door() -> None:
    with metrics_door(MetricsSettings(), CollectorRegistry(), live=well, ready=well) as address:
        assert address is None


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = MetricsSettings(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            with metrics_door(settings, CollectorRegistry(), live=well, ready=well):
                pass


async def test_a_stuck_event_loop_is_told_of() -> None:
    """The loop blocks until the probe, asked by a thread, has noticed."""
    hearts, noticed = Heartbeats(), threading.Event()
    hearts.beat(EVENT_LOOP, within_s=0.05)
    checks: dict[str, Check] = {"database": _never}
    with metrics_door(
        ANYWHERE_FREE, CollectorRegistry(), live=hearts.silent, ready=from_threads(checks)
    ) as address:

        def watch() -> None:
            while get(address, "/healthz/live").status_code == 200:
                pass
            noticed.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert noticed.wait(ANSWERED_WITHIN_S)
        watcher.join()
        assert get(address, "/healthz/live").json()["missing"].keys() == {EVENT_LOOP}
        assert get(address, "/healthz/ready").json()["missing"].keys() == {EVENT_LOOP}
        beating = asyncio.create_task(hearts.run())
        await asyncio.sleep(0)
        assert get(address, "/healthz/live").status_code == 200
        beating.cancel()


async def _never() -> None:
    await asyncio.Event().wait()
