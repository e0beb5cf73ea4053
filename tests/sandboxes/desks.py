"""The desks by provider: one line each, and each is put through every named scenario and every fault."""

from tests.sandboxes.desk import Desk
from tests.sandboxes.desk_mollie import MollieDesk
from tests.sandboxes.desk_pivot import PivotDesk
from tests.sandboxes.desk_plexy import PlexyDesk
from tests.sandboxes.desk_xendit import XenditDesk

DESKS: dict[str, type[Desk]] = {
    "plexy": PlexyDesk,
    "mollie": MollieDesk,
    "pivot": PivotDesk,
    "xendit": XenditDesk,
}
