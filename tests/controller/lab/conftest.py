"""The bundled sample, resolved and built once for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.profiles import packaged
from edgedyno.controller.lab.resolve import load_job, resolve_job
from edgedyno.controller.lab.variants import build_variants

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob, Variant


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    """Return a store that holds the bundled sample's files."""
    return ContentStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def sample_jobs(sample_store: ContentStore) -> dict[str, ResolvedJob]:
    """Return the bundled jobs, resolved, by their model, and one for the model that no bundled job has."""
    folder = packaged("jobs")
    jobs = [load_job(path) for path in sorted(folder.glob("*.yaml"))]
    jobs.append(msgspec.structs.replace(jobs[-1], model="yolox_nano_float_stem"))
    return {str(job.model): resolve_job(job, base=folder, store=sample_store) for job in jobs}


@pytest.fixture(scope="session")
def sample_variants(
    sample_jobs: dict[str, ResolvedJob], sample_store: ContentStore
) -> dict[str, dict[str, Variant]]:
    """Return the variants of the bundled jobs, by job and precision."""
    return {
        name: {
            variant.precision: variant
            for variant in build_variants(
                resolved, store=sample_store, precisions=["fp32", "fp16", "int8"], reduce_range=True
            )
        }
        for name, resolved in sample_jobs.items()
    }


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    """Return an empty store."""
    return ContentStore(tmp_path / "store")
