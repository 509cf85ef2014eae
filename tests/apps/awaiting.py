"""Coroutine functions as job, transformer, router and exit handler."""

import asyncio
from typing import Any

import jobs


async def job(body: str) -> None:
    """Work until it is cancelled, unless the body says otherwise."""
    jobs.write("started", body)
    await asyncio.sleep(0)
    try:
        if body == "long":
            await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0)
        jobs.write("cleaned", body)
    jobs.write("done", body)


async def transform(message: Any) -> str:
    """The body, after a while."""
    await asyncio.sleep(0)
    return str(message.body)


async def route(message: Any) -> dict[str, Any]:
    """The job and its handler, after a while."""
    return {"_job": job, "_exit_handler": clean, "body": await transform(message)}


async def clean(body: str, message: Any) -> None:
    """The exit handler."""
    await asyncio.sleep(0)
    jobs.write("handled", body, message.id)
