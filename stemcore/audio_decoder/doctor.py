"""`python -m stemcore.audio_decoder.doctor`: what protects decoder processes on this machine."""

import asyncio
import sys

from stemcore.audio_decoder.decoder import open_decoder
from stemcore.audio_decoder.facts import DecodeLimits
from stemcore.audio_decoder.process import DecoderBroken
from stemcore.audio_decoder.protections import MEANING, Protection
from stemcore.audio_decoder.settings import SandboxSettings


async def protections() -> frozenset[Protection]:
    """Those that a process started here finds to hold; raises DecoderBroken."""
    settings = SandboxSettings(warm=0, require=frozenset())
    async with open_decoder(settings, limits=DecodeLimits()) as decoder:
        return decoder.protections


def main() -> int:
    """One line for each; 1 when one that the services require by default is missing."""
    try:
        held = asyncio.run(protections())
    except DecoderBroken as error:
        sys.stdout.write(f"  MISSING  no decoder process can be started: {error}\n")
        return 1
    for protection, meaning in MEANING.items():
        state = "ok" if protection in held else "MISSING"
        sys.stdout.write(f"  {state:8} {protection}: {meaning}\n")
    return 0 if held >= SandboxSettings().require else 1


if __name__ == "__main__":
    sys.exit(main())
