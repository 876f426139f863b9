"""What the rows without sockets ask of Python: asyncio, on its own loop or on uvloop's.

    gather.py LOOP WORK N   for each line: does the work once, and prints the nanoseconds of processor time for one operation

Ends when its standard input does. See `src/scripts.rs`.
"""

import asyncio
import sys
import time


async def ready(children):
    """Gather coroutines that are ready at once."""

    async def child(number):
        return number

    repetitions = -(-20_000 // children)
    for _ in range(repetitions):
        outputs = await asyncio.gather(*(child(number) for number in range(children)))
        assert len(outputs) == children
    return children * repetitions


async def yields(children):
    """Gather coroutines that yield over and over."""
    each = max(20_000 // children, 20)

    async def child(number):
        for _ in range(each):
            await asyncio.sleep(0)
        return number

    outputs = await asyncio.gather(*(child(number) for number in range(children)))
    assert len(outputs) == children
    return children * each


async def spawn(_):
    """Create one task and await it, then the next."""

    async def job(number):
        return number

    tasks = 5_000
    total = 0
    for number in range(tasks):
        total += await asyncio.create_task(job(number))
    assert total == tasks * (tasks - 1) // 2
    return tasks


async def timeout(_):
    """Time limits that do not run out, one after another."""

    async def child():
        await asyncio.sleep(0)

    limits = 5_000
    for _ in range(limits):
        await asyncio.wait_for(child(), 30)
    return limits


async def sample(work, size):
    start = time.process_time_ns()
    operations = await work(size)
    return (time.process_time_ns() - start) / operations


def main():
    loop, name, size = sys.argv[1:]
    work = {"ready": ready, "yield": yields, "spawn": spawn, "timeout": timeout}[name]
    if loop == "uvloop":
        import uvloop

        run = uvloop.run
    else:
        run = asyncio.run
    for _ in sys.stdin:
        print(run(sample(work, int(size))), flush=True)


main()
