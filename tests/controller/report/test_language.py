from __future__ import annotations

import re
from html.parser import HTMLParser
from string import Formatter

import pytest

from edgedyno.controller.lab.language import catalogue, records, retell, say, speaking
from edgedyno.controller.lab.report import judge_and_render
from edgedyno.core.job import Require
from tests.controller.report.templates import record_shapes, spoken_templates
from tests.controller.report.test_report import resolved_job
from tests.controller.synthetic import SWEEP, Lab, Trial, failed


def names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_every_sentence_has_a_chinese_one_and_none_is_unused() -> None:
    assert set(spoken_templates()) == set(catalogue("zh"))


@pytest.mark.parametrize("sentences", [catalogue("zh"), records("zh")], ids=["catalogue", "records"])
def test_chinese_fills_in_the_same_names(sentences: dict[str, str]) -> None:
    assert [english for english, chinese in sentences.items() if names(english) != names(chinese)] == []


def test_sentences_of_records_are_those_of_the_sources() -> None:
    shapes = record_shapes()
    assert [one for one in records("zh") if re.sub(r"\{\w+\}", "{}", one) not in shapes] == []


def test_a_records_sentence_is_told_with_its_values() -> None:
    text = "other processes took 76% of one CPU on the used cores during 0.81 s (bound 5%)"
    with speaking("zh"):
        assert retell(text) == "其他进程在 0.81 s 内占用了所用核中一个 CPU 的 76%（界限 5%）"  # noqa: RUF001 - Chinese marks
        assert retell("clock: no cpufreq; something new") == "频率：没有 cpufreq；something new"  # noqa: RUF001 - as above
        assert retell("nobody has translated this yet") == "nobody has translated this yet"
        assert say("no latency: {reason}", reason="the job has no images") == "无延迟数据：任务没有图像"  # noqa: RUF001 - as above
    assert retell(text) == text


def test_a_self_test_is_told_with_all_that_it_strings_together() -> None:
    text = (
        "sees 1 of 2 expected objects in 1 known image (missing: bus.jpg: expected 'bus' with 0.45 at least, found "
        "nothing in its place); it sees 300 things in one image: it looks like a wrong colour order: all is seen: "
        "with `input.colour: RGB → BGR`: 0.89 on average in place of 0.50"
    )
    with speaking("zh"):
        told = retell(text)
        assert retell("no power sensor: tasmota: plug a/b: said nothing within 5 s; (something new") == (
            "没有功率传感器：tasmota：plug a/b：5 s 内没有发来数据；(something new"  # noqa: RUF001 - Chinese marks
        )
    assert told == (
        "在 1 张已知图像中检出 2 个预期目标中的 1 个（未检出：bus.jpg：预期 'bus'，分数至少 0.45，实际为"  # noqa: RUF001 - as above
        "其位置上什么也没有）；它在一张图像中检出 300 个目标：疑似颜色通道顺序错误："  # noqa: RUF001 - as above
        "改用 `input.colour: RGB → BGR`：0.89（平均分数，原为 0.50）时可全部检出"  # noqa: RUF001 - as above
    )


def test_latin_letters_and_figures_stand_apart_from_chinese() -> None:
    with speaking("zh"):
        assert say("{effort} would settle it", effort=say("{samples} more samples", samples=49)) == (
            "再有 49 个样本即可判定"
        )


class Words(HTMLParser):
    """Collects the text that a reader sees, but for code and what is marked as English."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if self._hidden or tag in {"style", "pre"} or told.get("lang") == "en":
            if tag not in {"meta", "br"}:
                self._hidden.append(tag)
        else:
            self.words += [told[name] or "" for name in ("aria-label", "data-label") if told.get(name)]

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(data.strip())


def chinese_page(*trials: Trial, require: Require) -> str:
    lab = Lab()
    resolved = resolved_job(require)
    return judge_and_render([(lab.results(*trials), resolved)], read=lab.read, language="zh")


@pytest.mark.parametrize(
    "require", [Require(accuracy_drop=0.01, latency_p95=0.1), Require(latency_p50=0.001), Require(power=5.0)]
)
def test_a_chinese_page_has_no_english_sentence(require: Require) -> None:
    void = "tasks waited for a CPU 37% of the time (bound 20%)"
    trials = [*SWEEP[:5], Trial("int8", 2, 0.0168, void=void), failed("int8", 4, "the job has no images")]
    page = chinese_page(*trials, require=require)
    assert '<html lang="zh-CN">' in page
    # Two words of lower case in a row are English; names and codes are single words.
    english = [text for text in Words(page).words if re.search(r"\b[a-z]{2,} [a-z]{2,}\b", text)]
    # The synthetic board names a check that no real one has.
    assert [text for text in english if "memory clock" not in text] == []
    assert "有任务等待 CPU 的时间占" in page


def test_what_no_catalogue_has_is_marked_as_english() -> None:
    page = chinese_page(
        Trial("fp32", 1, 0.02), failed("int8", 1, "a new fault that nobody knows"), require=Require()
    )
    assert '<span lang="en">a new fault that nobody knows' in page


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of en, zh"):
        judge_and_render([], read=Lab().read, language="fr")
