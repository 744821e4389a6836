"""``python -m tests.campaigns.revoking``: kill the revocation of a key again and again; nobody misses a file then.

As ``rekeying``, with ``--revoke``. After each kill the device that revokes reads every file, and a client that has the
former key alone tries to write one: either it is refused, or the write counts from then on, whatever is done later. At
the end the new key alone opens everything, nothing was set aside, and the former one opens nothing; and so after the
copies were collected. Exit status: 1 when a file was not readable, or another, or set aside.
"""

from __future__ import annotations

import random
from typing import Any

from ifap_twisted.core.keys import Key
from ifap_twisted.errors import KeyChanged
from ifap_twisted.secrecy import Secret
from tests.campaigns import rekeying
from tests.campaigns.ground import KEY
from tests.campaigns.places import Place
from tests.campaigns.rekeying import GRACE, SIZE, World
from tests.campaigns.seeded import command
from tests.campaigns.victims import Fate, make_steps


async def _none() -> Secret:
    raise AssertionError("the folder has no passphrase")


class RevokedWorld(World):
    """One folder, of which the key is revoked."""

    async def rekey(self, reactor: Any, last: int | None) -> tuple[dict[str, Any], int]:
        """The life of the process that revokes the key; what it did, and in how many steps."""
        fate = Fate(last)
        make_steps(fate)
        fate.arm()
        async with self.place.device(reactor) as filesystem:
            done = await filesystem._service.revoke_key(_none)
            steps = len(fate.disarm())
        return done.to_json(), steps

    async def look_here(self, reactor: Any) -> list[str]:
        """What the device that revokes cannot read, or reads otherwise, and what it has set aside."""
        async with self.place.device(reactor) as filesystem:
            aside = (await filesystem.status()).damage.get("revoked-key", 0)
            return await self.read(filesystem) + ([f"{aside} messages were set aside"] if aside else [])

    async def write_elsewhere(self, reactor: Any, path: str, content: bytes) -> bool:
        """A write with the former key; whether it was told that it is stored."""
        try:
            async with self.place.fresh(reactor) as filesystem:
                await filesystem.put(path, content)
        except KeyChanged:
            return False
        return True

    def run(self) -> None:
        """Kill, look, write, and go on; then to the end."""
        self._process(self.populate)
        for number in range(SIZE.kills):
            if self._killed(self._last_step()):
                self.found["kills"] += 1
            self._look_here("after a kill")
            if self.wrong:
                return
            if self.account != "embedded":
                self._write_elsewhere(f"elsewhere/{number}")
            path, content = self.random.choice([*self.files, f"new/{number}"]), self.random.randbytes(100)
            self._process(lambda reactor, path=path, content=content: self.write_here(reactor, path, content))  # type: ignore[misc]
            self.files[path] = content
        self._finish()

    async def write_here(self, reactor: Any, path: str, content: bytes) -> None:
        """Something new by the device that revokes."""
        async with self.place.device(reactor) as filesystem:
            await filesystem.put(path, content)

    def _write_elsewhere(self, path: str) -> None:
        content = self.random.randbytes(self.random.randint(0, 300))
        if self._process(lambda reactor: self.write_elsewhere(reactor, path, content)):
            self.files[path] = content
            self.found["writes with the former key that were in time"] += 1
        else:
            self.found["writes with the former key that were refused"] += 1

    def _look_here(self, when: str) -> None:
        self.found["files read"] += len(self.files)
        self.wrong += [f"{when}: {what}" for what in self._process(self.look_here)]

    def _finish(self) -> None:
        done, _steps = self._process(lambda reactor: self.rekey(reactor, None))
        self.wrong += [f"{one['path']} could not be sealed anew" for one in done["failed"]]
        self._at_the_end("at the end")
        highest = self._process(self.collect)
        self.place.age(highest, GRACE)
        self._process(self.collect)
        self._at_the_end("collected")

    def _at_the_end(self, when: str) -> None:
        self._look_here(when)
        self._check(f"{when}, with the new key alone", self.place.key())
        if not self._process(self.is_refused):
            self.wrong.append(f"{when}: the former key opens the folder")

    async def is_refused(self, reactor: Any, key: Key = KEY) -> bool:
        """Whether a key leads to nothing any more."""
        try:
            async with self.place.fresh(reactor, key):
                return False
        except KeyChanged:
            return True


def case(number: int) -> tuple[Any, list[str]]:
    """One folder; the number decides the account, the files and the steps."""
    drawn = random.Random(number)
    account = rekeying.ACCOUNTS[number % len(rekeying.ACCOUNTS)]
    place = Place(account)
    world = RevokedWorld(place, account, drawn)
    world.files = {f"d{at % 10}/f{at}": drawn.randbytes(drawn.choice((0, 10, 200, 3000))) for at in range(SIZE.files)}
    try:
        world.run()
    except RuntimeError as error:
        world.wrong.append(str(error))
    finally:
        place.remove()
    world.found["folders"] += 1
    return world.found, world.wrong


main = command(case, __doc__ or "")
main.params += rekeying.main.params[-2:]

if __name__ == "__main__":
    main()
