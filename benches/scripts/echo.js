// What the rows of the network ask of Node: its sockets.
//
//     echo.js echo                   serves echo, after printing the port
//     echo.js fan-out PORT AT_ONCE   for each line with a number: makes so many connections, and prints "done"
//
// Both end when their standard input does. See `src/net/mod.rs`.

const net = require("node:net");
const readline = require("node:readline");

const MESSAGE = Buffer.alloc(64, "g");

function serveEcho() {
  const server = net.createServer((socket) => {
    socket.on("data", (message) => socket.write(message));
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit()).resume();
}

async function fanOut(port, atOnce) {
  let left = 0;
  const exchange = () =>
    new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => socket.write(MESSAGE));
      socket.on("data", (answer) => {
        if (answer.length !== MESSAGE.length) reject(new Error("not the answer"));
        socket.destroy();
      });
      socket.on("error", reject);
      socket.on("close", resolve);
    });
  const each = async () => {
    while (left > 0) {
      left -= 1;
      await exchange();
    }
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    left = Number(line);
    await Promise.all(Array.from({ length: atOnce }, each));
    console.log("done");
  }
}

const [work, ...numbers] = process.argv.slice(2);
if (work === "echo") serveEcho();
else fanOut(...numbers.map(Number));
