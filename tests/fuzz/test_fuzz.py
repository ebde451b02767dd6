"""A bounded sample of what `python -m tests.fuzz` runs whole; and the shapes that are known to be dangerous, by name."""

from __future__ import annotations

import asyncio

from tests.fuzz.api import fuzz_api
from tests.fuzz.frames import fuzz_frames
from tests.fuzz.requests import fuzz_requests
from tests.fuzz.upstreams import fuzz_upstreams

SEED = 20261121


def test_generated_requests_break_nothing() -> None:
    asyncio.run(fuzz_requests(SEED, 3000))


def test_answers_of_bad_pods_break_nothing() -> None:
    asyncio.run(fuzz_upstreams(SEED, 600))


def test_generated_frames_break_nothing() -> None:
    asyncio.run(fuzz_frames(SEED, 600))


def test_requests_made_from_the_openapi_document_break_nothing() -> None:
    statuses = asyncio.run(fuzz_api(SEED, 1500))
    assert {200, 201, 400, 404, 405, 406, 409, 415, 422} <= statuses.keys()
