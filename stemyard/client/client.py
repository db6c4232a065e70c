"""The client: one method per call, every wait bounded."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from stemyard.client.errors import ApiProblem, ApiUnreachable, DownloadDiffers
from stemyard.client.job import Job, StemFile
from stemyard.client.preset import Preset

_TIMEOUTS = httpx.Timeout(connect=5.0, read=60.0, write=60.0, pool=5.0)
_ASKED_AGAIN_AFTER_S = 0.25
# A server that is started again is away for a second or two.
_PATIENCE = 40


class StemyardClient:
    """`async with StemyardClient(address) as client`; sign in before asking for jobs."""

    def __init__(self, address: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=address, timeout=_TIMEOUTS, trust_env=False, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def register(self, *, email: str, password: str, full_name: str) -> None:
        """Creates an account."""
        fields = {"email": email, "password": password, "full_name": full_name}
        await self._json("POST", "/v1/auth/register", json=fields)

    async def sign_in(self, *, email: str, password: str) -> str:
        """The access token, which all later calls send."""
        form = {"username": email, "password": password}
        answer = await self._json("POST", "/v1/auth/token", data=form)
        token: str = answer["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return token

    async def presets(self) -> tuple[Preset, ...]:
        """What can be asked for by purpose; needs nobody signed in."""
        answer = await self._json("GET", "/v1/presets")
        return tuple(Preset.of(item) for item in answer["items"])

    async def submit(
        self,
        song: Path,
        *,
        model: str | None = None,
        preset: str | None = None,
        stems: Sequence[str] | None = None,
        output: Mapping[str, Any] | None = None,
    ) -> Job:
        """Sends the file as it is, streamed; all stems unless some are named or a preset is.

        What is given beside a preset overrides it.
        """
        given = {"model": model, "preset": preset}
        fields = {name: value for name, value in given.items() if value is not None}
        if stems is not None:
            fields["stems"] = ",".join(stems)
        if output is not None:
            fields["output"] = json.dumps(dict(output))
        with song.open("rb") as file:
            return Job.of(
                await self._json("POST", "/v1/jobs", data=fields, files={"file": (song.name, file)})
            )

    async def job(self, job_id: str) -> Job:
        """The job as it is now."""
        return Job.of(await self._json("GET", f"/v1/jobs/{job_id}"))

    async def follow(self, job: Job) -> AsyncGenerator[Job]:
        """The job as it is now and after each of its events until it is over.

        Bears a server's restart.
        """
        failures, seen = 0, 0
        while True:
            try:
                job = await self.job(job.id)
                failures = 0
                yield job
                if job.is_over:
                    return
                async with aclosing(self._events(job, after=seen)) as events:
                    async for number in events:
                        seen = number
                        job = await self.job(job.id)
                        yield job
                        if job.is_over:
                            return
            except (ApiUnreachable, ApiProblem) as error:
                failures += 1
                if failures > _PATIENCE or not _is_passing(error):
                    raise
            await asyncio.sleep(_ASKED_AGAIN_AFTER_S)

    async def _events(self, job: Job, *, after: int) -> AsyncGenerator[int]:
        """Numbers of the job's events as they come, until the server ends the stream."""
        headers = {"Last-Event-ID": str(after)}
        async with self._streamed(f"/v1/jobs/{job.id}/events", headers=headers) as answer:
            async for line in answer.aiter_lines():
                field, _, value = line.partition(":")
                if field == "id":
                    yield int(value)

    async def download(self, job: Job, stem: StemFile, *, target: Path) -> None:
        """Writes the file whole or not at all. Raises DownloadDiffers."""
        part = target.with_name(f"{target.name}.part")
        digest = hashlib.sha256()
        try:
            with part.open("wb") as file:
                async with self._streamed(f"/v1/jobs/{job.id}/stems/{stem.stem}") as answer:
                    async for chunk in answer.aiter_bytes(1 << 20):
                        digest.update(chunk)
                        file.write(chunk)
            if digest.hexdigest() != stem.sha256:
                raise DownloadDiffers(f"{stem.stem}: not the bytes the job names")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    async def _json(self, method: str, path: str, **sent: Any) -> Any:
        try:
            answer = await self._http.request(method, path, **sent)
        except httpx.HTTPError as error:
            raise ApiUnreachable(f"{method} {path}: {error!r}") from error
        if answer.is_error:
            raise ApiProblem.of(answer)
        return answer.json()

    @asynccontextmanager
    async def _streamed(self, path: str, **sent: Any) -> AsyncGenerator[httpx.Response]:
        try:
            async with self._http.stream("GET", path, follow_redirects=True, **sent) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise ApiProblem.of(answer)
                yield answer
        except httpx.HTTPError as error:
            raise ApiUnreachable(f"GET {path}: {error!r}") from error


def _is_passing(error: ApiUnreachable | ApiProblem) -> bool:
    return (
        isinstance(error, ApiUnreachable) or error.status == httpx.codes.SERVICE_UNAVAILABLE.value
    )
