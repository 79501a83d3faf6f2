"""Draws docs/images/page.webp: a question on the page, from the first line of its plan to the answer. A real run.

pip install playwright pillow; apt-get install chromium; anabranch demo --no-browser --port 8765 &
python docs/page_picture.py http://127.0.0.1:8765
"""

import io
import shutil
import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

EXAMPLE = 1
"""Which of the example questions."""
SECONDS = 0.4
MOST_MS = 1_200
LAST_MS = 5_000
OUT = Path(__file__).parent / "images" / "page.webp"


def record(url: str) -> list[tuple[bytes, float]]:
    """Pictures of the page that differ, each with the time at which it was taken."""
    frames: list[tuple[bytes, float]] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        # What only moves would make each picture another.
        page = browser.new_page(viewport={"width": 1000, "height": 860}, reduced_motion="reduce", color_scheme="light")
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        page.locator("#examples button").nth(EXAMPLE).click()
        states = ""
        while page.locator(".foot:not(:empty)").count() == 0:
            now = page.evaluate("[...document.querySelectorAll('.card')].map((card) => card.dataset.state).join()")
            if now != states or not frames or time.monotonic() - frames[-1][1] > SECONDS:
                states = now
                frames.append((page.screenshot(), time.monotonic()))
            time.sleep(0.03)
        page.wait_for_timeout(300)
        frames.append((page.screenshot(), time.monotonic()))
        browser.close()
    return [frame for place, frame in enumerate(frames) if place == 0 or frame[0] != frames[place - 1][0]]


def main() -> None:
    """Records, and writes the frames; waiting is shortened."""
    frames = record(sys.argv[1])
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data, _ in frames]
    ends = [at for _, at in frames[1:]]
    shown = [min(round(1000 * (end - at)), MOST_MS) for (_, at), end in zip(frames, ends, strict=False)]
    OUT.parent.mkdir(exist_ok=True)
    options = {"quality": 70, "method": 6, "minimize_size": True, "loop": 0}
    pictures[0].save(OUT, save_all=True, append_images=pictures[1:], duration=[*shown, LAST_MS], **options)
    sys.stdout.write(f"{len(pictures)} pictures, {OUT.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
