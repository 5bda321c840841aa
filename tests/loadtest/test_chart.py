import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from loadtest import chart
from loadtest.results import Run, read

FILES = Path(__file__).parent / "recorded"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run() -> Run:
    return read(FILES / "before.json")


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [chart.LIGHT, chart.DARK], ids=["light", "dark"])
def test_texts_and_bars_stand_out_from_the_card(colours: dict[str, str]) -> None:
    assert contrast(colours["text"], colours["card"]) >= 4.5
    assert contrast(colours["soft"], colours["card"]) >= 4.5
    assert contrast(colours["ours"], colours["card"]) >= 3
    assert contrast(colours["them"], colours["card"]) >= 3


def test_the_chart_has_a_card_under_everything_and_both_schemes(run: Run) -> None:
    drawn = chart.svg(run)
    root = ET.fromstring(drawn)
    card = next(root.iter(f"{SVG}rect"))
    assert card.get("class") == "card"
    assert float(card.get("height", 0)) == float(root.get("height", 0)) - 1
    assert "prefers-color-scheme: dark" in drawn
    used = set(re.findall(r'class="(\w+)"', drawn))
    assert used <= set(re.findall(r"\.(\w+)\{", drawn))


def test_nothing_is_drawn_outside(run: Run) -> None:
    root = ET.fromstring(chart.svg(run))
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.get("x", 0)) + float(rect.get("width", 0)) <= chart.WIDTH
        assert float(rect.get("y", 0)) + float(rect.get("height", 0)) <= float(root.get("height", 0))


def test_a_bar_is_as_long_as_its_figure(run: Run) -> None:
    root = ET.fromstring(chart.svg(run))
    bars = [(rect.get("class"), float(rect.get("width", 0))) for rect in list(root.iter(f"{SVG}rect"))[1:4]]
    assert sorted(kind or "" for kind, _ in bars) == ["ours", "ours", "them"]
    assert bars[0][1] / bars[2][1] == pytest.approx(80 / 100, abs=0.01)


def test_ratios_are_of_the_same_round_where_rounds_were_kept(run: Run) -> None:
    ours = run.find("table", "gateway", scenario="full job")
    assert ours is not None
    envoy = run.envoy(ours)
    assert envoy is not None
    assert chart.paired(ours, envoy) == [0.8, 0.75, 0.88, 0.8, 0.8]


def test_names_are_escaped_and_the_chart_stands_beside_its_run(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text((FILES / "before.json").read_text().replace("JWT cache on", "JWT <cache> on"))
    written = chart.write(file)
    assert written == tmp_path / "run.svg"
    assert "JWT &lt;cache&gt; on" in written.read_text()
