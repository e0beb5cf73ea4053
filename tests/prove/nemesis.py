"""The nemesis: does harm by a seed, and writes down what it did when.

Its hands work side by side, each with its own chance: providers' weather, deaf and dying providers, SIGKILL and SIGSTOP of
gateways, crashes and cut sessions of PostgreSQL. When it is told to stop, everything it stopped goes on again.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson

from tests.prove import weather
from tests.prove.database import Database
from tests.prove.desks import BY_NAME, DESKS
from tests.prove.providers import Providers
from tests.prove.quick import BROWNOUT_S, LONGEST_PAUSE_S
from tests.prove.supervisor import Service


@dataclass(frozen=True, slots=True)
class Temper:
    """How often each hand strikes: mean seconds between two strokes; None = never."""

    kill_s: float | None = 4.0
    pause_s: float | None = 5.0
    longest_pause_s: float = LONGEST_PAUSE_S
    crash_s: float | None = 25.0
    cut_s: float | None = 8.0
    deaf_s: float | None = 10.0
    die_s: float | None = 30.0
    spell_s: float | None = 7.0
    brownouts: tuple[str, ...] = ("forgetful",)  # desks that take money and tell nobody, once each


_HEARD_WITHIN_S = 10.0


class Nemesis:
    """All hands."""

    def __init__(
        self,
        seed: int,
        temper: Temper,
        *,
        gateways: Sequence[Service],
        provider_process: Service,
        providers: Providers,
        database: Database,
        log: Path,
        scale: float,
    ) -> None:
        self._rng = random.Random(f"{seed}/nemesis")
        self._temper = temper
        self._swarm = weather.draw(self._rng)
        self._gateways = gateways
        self._provider_process = provider_process
        self._providers = providers
        self._database = database
        self._log = log.open("ab", buffering=0)
        self._brownout_s = scale * BROWNOUT_S
        self._stopping = asyncio.Event()
        self._hands: list[asyncio.Task[None]] = []
        self._browned_out: set[str] = set()
        self.strokes: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()

    @property
    def kinds(self) -> list[str]:
        """The kinds of provider faults that this run has drawn."""
        return sorted(self._swarm.kinds)

    async def start(self) -> None:
        temper = self._temper
        strokes: list[tuple[str, float | None, Callable[[random.Random], Awaitable[None]]]] = [
            ("kill", temper.kill_s, self._kill),
            ("pause", temper.pause_s, self._pause),
            ("crash", temper.crash_s, self._crash),
            ("cut", temper.cut_s, self._cut),
            ("deaf", temper.deaf_s, self._deaf),
            ("die", temper.die_s, self._die),
        ]
        for desk in DESKS:
            await self._providers.misbehave(desk, desk.faults)
        self._hands = [
            asyncio.create_task(self._strike_every(mean_s, stroke, random.Random(self._rng.random())))
            for _, mean_s, stroke in strokes
            if mean_s is not None
        ]
        if temper.spell_s is not None:
            self._hands += [
                asyncio.create_task(self._change_weather(name, temper.spell_s, random.Random(self._rng.random())))
                for name in BY_NAME
            ]
        self._hands += [asyncio.create_task(self._brown_out(name)) for name in temper.brownouts]

    async def stop(self) -> None:
        """No harm any more: what was stopped goes on, what died is up again, providers behave."""
        self._stopping.set()
        await asyncio.gather(*self._hands)
        for gateway in self._gateways:
            gateway.child.cont()
        await self._provider_process.up()
        await self._calm_providers()
        for gateway in self._gateways:
            await gateway.up()
        self._write("faults off")
        self._log.close()

    async def _calm_providers(self) -> None:
        async with asyncio.timeout(_HEARD_WITHIN_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await self._count_hits()
                    await self._providers.behave()
                    return
                await asyncio.sleep(0.1)  # a desk that was made deaf will hear again

    async def _strike_every(
        self, mean_s: float, stroke: Callable[[random.Random], Awaitable[None]], rng: random.Random
    ) -> None:
        while not await self._is_over(rng.uniform(0.4, 1.6) * mean_s):
            try:
                await stroke(rng)
            except (aiohttp.ClientError, asyncpg.PostgresError, OSError, RuntimeError, TimeoutError) as error:
                # Two hands may meet: a process that is just down cannot be told anything.
                self._write("missed", error=type(error).__name__)

    async def _is_over(self, after_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), after_s)
        return self._stopping.is_set()

    # --- gateways

    def _some_gateway(self, rng: random.Random) -> Service | None:
        up = [gateway for gateway in self._gateways if gateway.is_up]
        return rng.choice(up) if up else None

    async def _kill(self, rng: random.Random) -> None:
        if gateway := self._some_gateway(rng):
            self._write("kill", target=gateway.name)
            await gateway.child.kill()

    async def _pause(self, rng: random.Random) -> None:
        if gateway := self._some_gateway(rng):
            for_s = rng.uniform(0.2, self._temper.longest_pause_s)
            self._write("pause", target=gateway.name, for_s=round(for_s, 2))
            gateway.child.stop()
            await asyncio.sleep(for_s)
            gateway.child.cont()

    # --- PostgreSQL

    async def _crash(self, rng: random.Random) -> None:
        self._write("crash", target="postgresql")
        await self._database.crash(rng.uniform(0.1, 1.0))

    async def _cut(self, rng: random.Random) -> None:
        many = rng.randint(1, 12)
        self._write("cut", target="postgresql", sessions=many)
        await self._database.cut(many)

    # --- providers

    async def _deaf(self, rng: random.Random) -> None:
        desk = rng.choice(DESKS)
        for_s = rng.uniform(0.3, 3.0)
        self._write("unreachable", target=desk.name, for_s=round(for_s, 2))
        await self._providers.be_unreachable(desk, for_s)

    async def _die(self, _rng: random.Random) -> None:
        self._write("provider killed", target="all desks")
        await self._count_hits()
        await self._provider_process.child.kill()
        await self._provider_process.up()
        await self._providers.remember()

    async def _change_weather(self, name: str, mean_s: float, rng: random.Random) -> None:
        desk = BY_NAME[name]

        async def change(rng: random.Random) -> None:
            if name in self._browned_out:
                return
            spell = list(self._swarm.spell(rng, desk))
            await self._count_hits(name)
            await self._providers.misbehave(desk, [*(fault for _, fault in spell), *desk.faults])
            self._write("weather", target=name, kinds=[kind for kind, _ in spell], faults=[fault for _, fault in spell])

        await self._strike_every(mean_s, change, rng)

    async def _brown_out(self, name: str) -> None:
        desk = BY_NAME[name]
        if await self._is_over(2.0):
            return
        self._browned_out.add(name)
        self._write("brownout", target=name, for_s=self._brownout_s)
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._count_hits(name)
            await self._providers.misbehave(desk, weather.brownout(desk))
        await self._is_over(self._brownout_s)
        self._browned_out.discard(name)
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._count_hits(name)
            await self._providers.misbehave(desk, desk.faults)

    async def _count_hits(self, *names: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            self.hits.update(await self._providers.hits(*names))

    def _write(self, what: str, **details: Any) -> None:
        self.strokes[what] += 1
        line = {"at": round(time.time(), 3), "what": what, **details}
        self._log.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
