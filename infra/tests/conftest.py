from __future__ import annotations

from collections.abc import Iterator

import aws_stand_in
import boto3
import pytest


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boto3.Session]:
    with aws_stand_in.running(tmp_path_factory.mktemp("aws") / "ministack.log") as session:
        yield session
