"""The page about a run in a real browser: nothing is asked for, and pictures open."""

import shutil

import numpy as np
import pytest
from chromium import browser

from experiments.reporting import report
from gan.images import save_png
from trainers.workdir.flags import write_flags
from trainers.workdir.paths import Workdir

_STATE = """(() => { const image = document.querySelector("figure img");
  const box = image.getBoundingClientRect();
  return {complete: [...document.images].every(i => i.complete && i.naturalWidth),
    width: box.width, fits: document.documentElement.scrollWidth <= innerWidth,
    ink: getComputedStyle(document.body).color, back: getComputedStyle(document.body).background};
})()"""


def test_the_page_shows_itself_and_its_pictures_open_without_a_network(tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip("Chromium is not installed")
    run = Workdir(tmp_path / "run")
    write_flags(run.folder, {"trainer": "gan", "dataset": "folder:" + 300 * "long"})
    for images in range(0, 8000, 1000):
        save_png(run.picture("fake", images), np.full((40, 40, 3), 90, np.uint8))
    path = report(run.folder)
    profile = tmp_path / "profile"
    profile.mkdir()
    with browser(executable, profile) as tab:
        tab.open(path.as_uri())
        tab.screenshot(tmp_path / "wide.png")
        small = tab.evaluate(_STATE)
        assert small["complete"] and small["fits"] and 100 < small["width"] < 200
        # By keyboard: the first control is the first picture's.
        tab.evaluate("document.querySelector('figure input').focus()")
        for kind in ("keyDown", "keyUp"):
            tab.call("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", text=" ")
        assert tab.evaluate(_STATE)["width"] == 1280
        tab.evaluate("document.querySelector('figure img').click()")
        assert tab.evaluate(_STATE)["width"] == small["width"]
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        tab.call("Emulation.setEmulatedMedia", features=dark)
        assert tab.evaluate(_STATE)["ink"] != small["ink"]
        tab.screenshot(tmp_path / "narrow.png", width=420)
        assert tab.evaluate(_STATE)["fits"]
        assert all(url.startswith(("file:", "data:")) for url in tab.requested())
