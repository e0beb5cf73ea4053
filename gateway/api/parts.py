"""What the handlers are given: made once in `gateway.app`, and the key under which the application carries it."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.api.auth import Auth
from gateway.apply import Apply
from gateway.card_saver import CardSaver
from gateway.connections import Connections
from gateway.desk import Desk
from gateway.dispatcher import Dispatcher
from gateway.gather import Gather
from gateway.metrics import Metrics
from gateway.sealing import Seal
from gateway.store.database import Pool
from gateway.store.notices import NewNotice
from gateway.store.payouts import Created, NewPayout
from gateway.store.rows import CardRow


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a gateway process that its edge uses."""

    pool: Pool
    seal: Seal
    auth: Auth
    connections: Connections
    apply: Apply
    desk: Desk
    dispatcher: Dispatcher
    card_saver: CardSaver
    metrics: Metrics
    creates: Gather[NewPayout, Created]
    notices: Gather[NewNotice, bool]
    cards: Gather[tuple[str, str], CardRow | None]
    wake_inbox: Callable[[], None]
    is_ready: Callable[[], bool]


PARTS: web.AppKey[Parts] = web.AppKey("parts", Parts)


def parts_of(request: web.Request) -> Parts:
    """The parts of the process that serves this request."""
    return request.app[PARTS]
