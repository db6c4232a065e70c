"""Decoding of strangers' files, in a process of its own; used by both services."""

from stemcore.audio_decoder.decoder import DecodedSource, PcmStream, decode, probe
from stemcore.audio_decoder.facts import DecodeLimits, SourceFacts

__all__ = ["DecodeLimits", "DecodedSource", "PcmStream", "SourceFacts", "decode", "probe"]
