"""Decoding of strangers' files, in confined processes; used by both services."""

from stemcore.audio_decoder.decoder import AudioDecoder, open_decoder
from stemcore.audio_decoder.facts import DecodeLimits, SourceFacts
from stemcore.audio_decoder.pcm import DecodedSource, PcmStream
from stemcore.audio_decoder.protections import Protection, SandboxTooWeak
from stemcore.audio_decoder.settings import SandboxSettings

__all__ = [
    "AudioDecoder",
    "DecodeLimits",
    "DecodedSource",
    "PcmStream",
    "Protection",
    "SandboxSettings",
    "SandboxTooWeak",
    "SourceFacts",
    "open_decoder",
]
