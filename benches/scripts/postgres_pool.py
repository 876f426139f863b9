"""The queries of the bench `postgres` with asyncio.gather and asyncpg's pool: prints how many seconds they took.

    postgres_pool.py --versions
    postgres_pool.py --sample NAME URL QUERIES PAUSE_MS
"""

import asyncio
import platform
import sys
import time

import asyncpg

CONNECTIONS = 16
SQL = "select 2 * $1::int8, pg_sleep($2)"


class Connection(asyncpg.Connection):
    def get_reset_query(self):
        return ""  # one that comes back to the pool is used as it is, as those of the others are


async def main(name, url, queries, pause):
    settings = {"application_name": name}
    async with asyncpg.create_pool(
        url,
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        connection_class=Connection,
        server_settings=settings,
    ) as pool:

        async def query(number):
            async with pool.acquire() as connection:
                return await connection.fetchval(SQL, number, pause)

        started = time.perf_counter()
        answers = await asyncio.gather(*(query(number) for number in range(queries)))
        elapsed = time.perf_counter() - started
        assert answers == [2 * number for number in range(queries)]
        print(elapsed)


if sys.argv[1] == "--versions":
    print(f"Python {platform.python_version()}, asyncpg {asyncpg.__version__}")
else:
    name, url, queries, pause_ms = sys.argv[2:]
    asyncio.run(main(name, url, int(queries), float(pause_ms) / 1000))
