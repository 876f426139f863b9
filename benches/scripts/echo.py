"""What the rows of the network ask of Python: asyncio's streams, on its own loop or on uvloop's.

    echo.py LOOP echo                   serves echo, after printing the port
    echo.py LOOP fan-out PORT AT_ONCE   for each line with a number: makes so many connections, and prints "done"

Both end when their standard input does. See `src/net/mod.rs`.
"""

import asyncio
import sys

MESSAGE = b"g" * 64
BUFFER_SIZE = 4096


async def serve_echo():
    async def echo(reader, writer):
        while message := await reader.read(BUFFER_SIZE):
            writer.write(message)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await (await lines()).read()


async def fan_out(port, at_once):
    async def each():
        nonlocal left
        while left > 0:
            left -= 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(MESSAGE)
            assert await reader.read(BUFFER_SIZE) == MESSAGE
            writer.close()

    commands = await lines()
    while line := await commands.readline():
        left = int(line)
        await asyncio.gather(*(each() for _ in range(at_once)))
        print("done", flush=True)


async def lines():
    """The lines of the standard input."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


def main():
    loop, work, *numbers = sys.argv[1:]
    job = serve_echo() if work == "echo" else fan_out(*map(int, numbers))
    if loop == "uvloop":
        import uvloop

        uvloop.run(job)
    else:
        asyncio.run(job)


main()
