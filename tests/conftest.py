"""Settings that every test shares."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,  # the same examples every time: a failure is the change's, not the draw's
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the emitted text over the golden files"
    )
    parser.addoption(
        "--zoo", action="store_true", help="every network of the zoo, also at full size; an hour"
    )
