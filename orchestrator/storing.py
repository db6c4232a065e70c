"""One file of a run: encoded from the tape, stored under the claim's prefix."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.audio.resample import scaled_frames
from orchestrator.delivery import DeliveryReport, FileFormat, StemEncoder, delivered_blocks
from orchestrator.finishing import Recipe
from orchestrator.full_band import FullBand
from orchestrator.mix import MixFacts
from orchestrator.sources import storage_errors
from orchestrator.tape import Tape
from orchestrator.watch import RunWatch, Stage
from stemcore.jobs import ResultFile
from stemcore.separation_request import AudioFormat, SeparationRequest
from stemcore.stem_choice import MadeBy, WantedFile
from stemcore.storage.port import ObjectStore

CONTENT_TYPES = {AudioFormat.WAV: "audio/wav", AudioFormat.FLAC: "audio/flac"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A stored file and what its encoding met."""

    file: ResultFile
    report: DeliveryReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """How and where the files of a run are stored."""

    store: ObjectStore
    encoder: StemEncoder
    watch: RunWatch
    prefix: str
    folder: Path
    recipe: Recipe

    async def deliver(
        self, tape: Tape, wanted: WantedFile, *, file: FileFormat, band: FullBand
    ) -> Delivery:
        """Encode and store it while the tape grows, where its level allows that."""
        report = DeliveryReport()
        blocks = delivered_blocks(
            tape,
            wanted.name,
            band=band,
            share=self.recipe.share_of_song(wanted),
            file=file,
            report=report,
        )
        filename = f"{wanted.name}.{file.format}"
        data = self.encoder.encode(blocks, file=file, scratch=self.folder / filename, report=report)
        with storage_errors(), self.watch.stage(Stage.STORE, subject=wanted.name):
            stored = await self.store.put(self.prefix + filename, data)
        result = ResultFile(
            name=wanted.name,
            filename=filename,
            key=stored.key,
            content_type=CONTENT_TYPES[file.format],
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            made_by=None if wanted.made_by is MadeBy.MODEL else wanted.made_by.value,
        )
        return Delivery(file=result, report=report)


def file_format_of(request: SeparationRequest, facts: MixFacts) -> FileFormat:
    """The files of a request, at its rate or the source's own, with exactly as many frames."""
    source_hz = facts.source.sample_rate_hz
    target_hz = request.output.sample_rate_hz or source_hz
    frames = scaled_frames(facts.source_frames, source_hz=source_hz, target_hz=target_hz)
    return FileFormat.of(
        request.output,
        clip=request.clip,
        rate_hz=target_hz,
        frames=max(1, frames),
        scaled_together=request.consistency,
    )
