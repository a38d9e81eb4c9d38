"""Names of other systems in rules are told what stands for them; too large a file is told its limit."""

import pytest

from alerts.language.condition import compile_condition
from alerts.language.errors import ExpressionError
from detectors.detector_settings import DetectorSettings
from streamer.config.errors import ConfigError
from streamer.config.load import load_text
from streamer.pipeline.symbols import PlanSymbols

SYMBOLS = PlanSymbols({"tape": DetectorSettings(model="RobustZ", features=["price"])})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("size_avg_1h", "'avg', only mean, var, sd and z (did you mean 'size_mean_1h'?)"),
        ("size_median_1h", "'median', only mean, var, sd and z (did you mean 'size_mean_1h'?)"),
        ("return_bps_10s_std_1h", "'std', only mean, var, sd and z (did you mean 'return_bps_10s_sd_1h'?)"),
        ("size_p99_1h", "there is no statistic 'p99', only mean, var, sd and z (did you mean 'size_z_1h'?)"),
        ("size_max_5", "there is no statistic 'max', only mean, var, sd and z (did you mean 'size_z_1h'?)"),
        ("trade_rate_5M", "'5M' is not a window: write 10s, 5m or 1h"),
        ("tape", "name its output, tape.score or tape.rarity (did you mean 'tape.score'?)"),
    ],
)
def test_names_of_elsewhere_are_told_what_there_is(name: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        compile_condition(f"{name} > 1", SYMBOLS)
    assert refused.value.message.endswith(problem)


@pytest.mark.parametrize(
    "text",
    ["a: [" + "1," * 500_000 + "]", "a:\n" + "- 1\n" * 200_000, "a: &a [1]\nb: [" + "*a," * 90_000 + "]"],
)
def test_a_file_of_too_many_values_is_refused_where_they_become_too_many(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(text, "t")
    (problem,) = refused.value.problems
    assert problem.message.startswith("more than 20,000 values in this file")
    assert problem.line > 0


def test_only_the_first_problems_are_listed() -> None:
    with pytest.raises(ConfigError) as refused:
        load_text("".join(f"unknown{number}: 1\n" for number in range(500)), "t")
    assert str(refused.value).splitlines()[-1] == "… and 400 more problems"
