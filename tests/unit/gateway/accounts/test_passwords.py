from time import process_time

from gateway.accounts.passwords import Passwords


async def test_a_password_fits_its_own_hash_alone() -> None:
    passwords = Passwords()
    kept = await passwords.hash("password123")
    assert kept.startswith("$argon2id$")
    assert await passwords.verify("password123", kept)
    assert not await passwords.verify("password124", kept)


async def test_nobody_costs_as_much_as_somebody() -> None:
    passwords = Passwords()
    kept = await passwords.hash("password123")
    # The decoy is made at its first use.
    assert not await passwords.verify("password123", None)

    began = process_time()
    await passwords.verify("wrong", kept)
    known_s, began = process_time() - began, process_time()
    await passwords.verify("wrong", None)
    unknown_s = process_time() - began
    assert 0.4 * known_s < unknown_s < 2.5 * known_s


async def test_the_decoys_own_password_opens_nothing() -> None:
    assert not await Passwords().verify("the password of nobody", None)
