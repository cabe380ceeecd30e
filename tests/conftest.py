from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples and golden arrays; it lies beside the checkout where it exists at all."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the sample data (shared/data beside the checkout) is not here")
    return folder
