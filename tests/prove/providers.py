"""The providers' control surface: merchants at every desk, their settings, and the faults that are on.

Speaks to the sandboxes alone. After a desk's process was killed it is told again what is wrong with it: faults do not survive.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from tests.prove.desks import BY_NAME, DESKS, Desk, Fault

_BALANCE_RUPIAH = 10**14


class Providers:
    """All desks."""

    def __init__(self, http: aiohttp.ClientSession, ports: dict[str, int], scale: float) -> None:
        self._http = http
        self._ports = ports
        self._scale = scale
        self._on: dict[str, tuple[Fault, ...]] = {}

    def base_url(self, desk: str) -> str:
        """Where the provider's own API is."""
        return f"http://127.0.0.1:{self._ports[desk]}/{BY_NAME[desk].provider}"

    async def settle_in(self) -> None:
        """Give every desk its settings."""
        for desk in DESKS:
            await self._call("PATCH", desk, "settings", self._scaled(desk.settings))

    async def merchant(self, desk: Desk, hook: str, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """A merchant at this desk whose webhooks go to `hook`: (connection settings, connection secrets)."""
        settings = {"base_url": self.base_url(desk.name)}
        if desk.provider == "pivot":
            made = await self._call(
                "POST", desk, "merchants", {"callbackUrl": hook, "callbackApiKey": token, "balance": _BALANCE_RUPIAH}
            )
            return settings, {
                "client_id": made["merchantId"], "client_secret": made["merchantSecret"], "callback_key": token,
            }  # fmt: skip
        made = await self._call(
            "POST", desk, "merchants",
            {"webhookUrl": hook, "callbackToken": token, "balance": _BALANCE_RUPIAH, "currency": "IDR"},
        )  # fmt: skip
        return settings, {"api_key": made["apiKey"], "callback_token": token}

    async def misbehave(self, desk: Desk, faults: Sequence[Fault]) -> None:
        """From now on this goes wrong at this desk, and nothing else."""
        self._on[desk.name] = tuple(faults)
        await self._call("DELETE", desk, "faults")
        for fault in faults:
            await self._call("POST", desk, "faults", {**fault, "params": self._scaled(fault.get("params", {}))})

    async def remember(self) -> None:
        """Tell desks that were started again what is wrong with them."""
        for name, faults in list(self._on.items()):
            await self.misbehave(BY_NAME[name], faults)

    async def behave(self) -> None:
        """No faults any more; settings stay."""
        for desk in DESKS:
            await self.misbehave(desk, ())

    async def hits(self, *names: str) -> dict[str, int]:
        """How often each kind of fault has hit since it was switched on, at these desks or at all."""
        counted: dict[str, int] = {}
        for desk in [BY_NAME[name] for name in names] or DESKS:
            for fault in (await self._call("GET", desk, "faults"))["faults"]:
                name = f"{fault['kind']} {fault['when']}" if fault["operation"] != "webhook" else f"webhook {fault['kind']}"
                counted[name] = counted.get(name, 0) + fault["hits"]
        return counted

    async def be_unreachable(self, desk: Desk, for_s: float) -> None:
        """Refuse all connections for so long."""
        url = f"http://127.0.0.1:{self._ports[desk.name]}/_sandbox/unreachable"
        async with self._http.post(url, json={"ms": for_s * 1000}) as answer:
            answer.raise_for_status()

    def _scaled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """With times of this world: whatever is named in ms."""
        return {name: value * self._scale if name.lower().endswith("ms") else value for name, value in given.items()}

    async def _call(self, method: str, desk: Desk, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._ports[desk.name]}/_sandbox/{desk.provider}/{path}"
        async with self._http.request(method, url, json=body) as answer:
            told = await answer.json()
            if answer.status >= 300:
                raise RuntimeError(f"the sandbox at desk {desk.name} refused {method} {path}: {told}")
            return told
