"""Settings, from the environment with the prefix `GATEWAY_`. Refuses what would be unsafe before anything starts."""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Role(StrEnum):
    """What a process does; all of it unless told otherwise."""

    API = "api"
    LOOPS = "loops"


class Settings(BaseSettings):
    """Everything that can be set; `deploy/README.md` explains each to an operator."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    database_url: SecretStr | None = None  # none: an embedded PostgreSQL under `data_dir`
    data_dir: Path = Path(".data")
    mark_file: Path | None = None  # see `gateway.high_water`; none: in `data_dir`
    master_key: SecretStr | None = None
    demo: bool = False
    sandbox_host: str = "127.0.0.1"
    sandbox_port: Annotated[int, Field(ge=0, le=65535)] = 8090
    sandbox_url: str | None = None  # where the sandboxes are, for `connection create --sandbox`; none: this machine
    sandbox_speed: Annotated[float, Field(gt=0, le=1e9)] = 1.0
    sandbox_seed: int = 0  # the same seed and the same requests meet the same faults
    roles: Annotated[frozenset[Role], NoDecode] = frozenset(Role)
    pool_size: Annotated[int, Field(ge=2, le=100)] = 10
    poll_s: Annotated[float, Field(gt=0, le=60)] = 0.1
    invariants_every_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    points: str = ""  # for tests: see `gateway.points`
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def sandbox_address(self) -> str:
        """Where the sandboxes are to be found."""
        return (self.sandbox_url or address(self.sandbox_host, self.sandbox_port)).rstrip("/")

    @property
    def mark_path(self) -> Path:
        """Where the high-water mark of this host is kept."""
        return self.mark_file or self.data_dir / "high-water.json"

    @model_validator(mode="before")
    @classmethod
    def _roles_are_a_list(cls, data: dict[str, object]) -> dict[str, object]:
        roles = data.get("roles")
        return {**data, "roles": [role.strip() for role in roles.split(",")]} if isinstance(roles, str) else data

    @model_validator(mode="after")
    def _points_are_for_tests(self) -> Self:
        if self.points and not self.demo:
            raise ValueError("GATEWAY_POINTS makes a gateway kill or stop itself, so it is for demo mode and tests only")
        return self

    @model_validator(mode="after")
    def _demo_stays_at_home(self) -> Self:
        if self.demo and not is_loopback(self.host):
            raise ValueError("demo mode has published keys, so it may listen on loopback only: set GATEWAY_HOST=127.0.0.1")
        return self


def address(host: str, port: int) -> str:
    """A URL of something that listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
