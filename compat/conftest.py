import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from harness import Region  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--binary", default=".build/debug/roadstead", help="the roadstead binary under test")
    parser.addoption("--soak", action="store_true", help="run the long tests too")


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: long; only with --soak")
    config.addinivalue_line("markers", "root: needs root")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "soak" in item.keywords and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="long; run with --soak"))
        if "root" in item.keywords and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def binary(request):
    path = os.path.abspath(request.config.getoption("--binary"))
    assert os.path.exists(path), f"{path} does not exist; run `swift build` first"
    return path


@pytest.fixture(scope="module")
def region(binary):
    """One region for a file of tests."""
    region = Region(binary)
    try:
        region.up()
        yield region
    finally:
        region.down()


@pytest.fixture
def own_region(binary):
    """A region of this test alone, not yet started."""
    region = Region(binary)
    try:
        yield region
    finally:
        region.down()
