// What the rows without sockets ask of Node: its promises.
//
//     gather.js WORK N   for each line: does the work once, and prints the nanoseconds of processor time for one operation
//
// Ends when its standard input does. See `src/scripts.rs`.

const readline = require("node:readline");

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

// Gather promises of functions that are ready at once.
async function ready(children) {
  const child = async (number) => number;
  const repetitions = Math.ceil(20_000 / children);
  for (let done = 0; done < repetitions; done++) {
    const outputs = await Promise.all(numbers(children).map(child));
    if (outputs.length !== children) throw new Error("not every output");
  }
  return children * repetitions;
}

// Gather functions that yield over and over.
async function yields(children) {
  const each = Math.max(20_000 / children, 20);
  const child = async (number) => {
    for (let left = each; left > 0; left--) await null;
    return number;
  };
  const outputs = await Promise.all(numbers(children).map(child));
  if (outputs.length !== children) throw new Error("not every output");
  return children * each;
}

// Time limits that do not run out, one after another.
async function timeout() {
  const limits = 5_000;
  const child = async () => {
    await null;
  };
  for (let left = limits; left > 0; left--) {
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("the time is up")), 30_000);
    });
    try {
      await Promise.race([child(), limit]);
    } finally {
      clearTimeout(timer);
    }
  }
  return limits;
}

async function main() {
  const [name, size] = process.argv.slice(2);
  const work = { ready, yield: yields, timeout }[name];
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    const start = process.cpuUsage();
    const operations = await work(Number(size));
    const { user, system } = process.cpuUsage(start);
    console.log(((user + system) * 1000) / operations);
  }
}

main();
