"""Which stack is meant is told by its settings."""

from contextlib import AbstractAsyncContextManager

from stemyard.stack.assembly import Stack
from stemyard.stack.full import full_stack
from stemyard.stack.one_machine import one_machine_stack
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import FullStackSettings, StackSettings


def launch(
    settings: StackSettings, *, runtime: RuntimeDirectory
) -> AbstractAsyncContextManager[Stack]:
    """The one-machine stack, or with FullStackSettings the full one."""
    if isinstance(settings, FullStackSettings):
        return full_stack(settings, runtime=runtime)
    return one_machine_stack(settings, runtime=runtime)


def servers(settings: StackSettings) -> str:
    """What will run, as told to a person."""
    leant_on = "PostgreSQL, Triton"
    if isinstance(settings, FullStackSettings):
        leant_on = "PostgreSQL, Kafka, MinIO, Triton"
    gateways = _counted("gateway", settings.gateways)
    return f"{leant_on}, {gateways} and {_counted('orchestrator', settings.orchestrators)}"


def _counted(service: str, count: int) -> str:
    return service if count == 1 else f"{count} {service}s"
