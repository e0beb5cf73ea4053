"""The named points themselves: each stands once, in the code as in the list, and production cannot switch one on.

That each is passed by the flow is shown by `test_kill`, which dies at every one of them.
"""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

import gateway
from gateway import points
from gateway.points import ACTIONS, POINTS, PointError, point, switch_on
from gateway.settings import Settings


@pytest.fixture
def off():
    yield
    switch_on("")


def test_each_stands_once_and_is_listed():
    folder = Path(gateway.__file__).parent
    code = "".join(file.read_text() for file in sorted(folder.rglob("*.py")) if file.name != "points.py")
    assert Counter(re.findall(r'\bpoint[(,]\s*"(\w+)"', code)) == Counter(list(POINTS))


@pytest.mark.usefixtures("off")
def test_it_acts_at_its_hit_and_never_again():
    switch_on("before_send:raise:2, after_send:cancel")
    point("before_send")
    with pytest.raises(PointError):
        point("before_send")
    point("before_send")
    with pytest.raises(asyncio.CancelledError):
        point("after_send")
    point("leaving")
    switch_on("")
    assert not points._on


@pytest.mark.parametrize("text", ["nowhere:kill:1", "before_send:explode:1", "before_send:kill:0", "before_send:kill:-1", "x"])
def test_what_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is no point"):
        switch_on(text)


def test_production_cannot_switch_one_on(monkeypatch):
    monkeypatch.setenv("GATEWAY_POINTS", "before_send:kill:1")
    with pytest.raises(ValidationError, match="demo mode and tests only"):
        Settings()
    assert Settings(demo=True).points == "before_send:kill:1"
    assert set(ACTIONS) == {"kill", "pause", "raise", "cancel"}
