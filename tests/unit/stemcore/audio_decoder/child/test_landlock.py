import struct

import pytest

from stemcore.audio_decoder.child.landlock import handled

# What <linux/landlock.h> of each version defines: rights over files, over the network, scopes.
KNOWN = {
    1: (0x1FFF,),
    2: (0x3FFF,),
    3: (0x7FFF,),
    4: (0x7FFF, 0b11),
    5: (0xFFFF, 0b11),
    6: (0xFFFF, 0b11, 0b11),
    7: (0xFFFF, 0b11, 0b11),
}


@pytest.mark.parametrize("version", KNOWN)
def test_all_that_a_version_knows_is_denied(version: int) -> None:
    attributes = handled(version)
    assert struct.unpack(f"={len(attributes) // 8}Q", attributes) == KNOWN[version]


def test_a_version_to_come_is_asked_for_what_we_know() -> None:
    assert handled(99) == handled(7)
