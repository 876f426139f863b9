//! One runtime for each core: connections are accepted on one and handed to the others, and a
//! gather on the first waits for all.
//!
//!     cargo run --release --example many_cores -- --cores 4
//!
//! prints, for example:
//!
//!     clients: 1000, cores: 4
//!     1000 answers in 284.1ms: 250 by core 0, 250 by core 1, 250 by core 2, 250 by core 3
//!     a core polled 751 times at most
//!
//! A runtime never leaves its thread, and nothing is shared between two of them but what a program
//! sends. What it may send: a closure, by `Handle::spawn`, which makes a future over there that
//! need not be `Send`; and a socket, by `into_std` here and `from_std` there. Each answer takes
//! some computing, which would hold up all others on a single core; so the time should go down
//! with the cores that the machine really has.

#[path = "../start.rs"]
mod start;

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use gather::{Handle, RemoteTask, TcpListener, TcpStream, gather, run};
use gather_examples::output::start_thread;
use gather_examples::say;
use lexopt::{Arg, Parser};
use tokio::sync::oneshot;

const HELP: &str = "\
Counts primes for its own clients, on one runtime for each core.

Usage: many_cores [OPTIONS]

Options:
      --cores N    how many threads with a runtime of their own [default: as many as the machine has]
      --clients N  how many connections [default: 1000]
  -h, --help       show this

Exit codes: 0 every client got the right answer, 1 some did not, 2 the options cannot be used.";

/// Each client takes two file descriptors of this process, and many systems give no more than 256.
const CLIENTS_AT_ONCE: usize = 100;

/// What the clients ask: how many primes there are below this; and the answer.
const BELOW: u32 = 20_000;
const PRIMES: u32 = 2262;

struct Options {
    cores: NonZeroUsize,
    clients: NonZeroUsize,
}

fn options(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut options = Options { cores, clients: NonZeroUsize::new(1000).expect("not zero") };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("cores") => options.cores = start::count(parser, start::MAX_CORES)?,
            Arg::Long("clients") => options.clients = start::count(parser, usize::MAX)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    start::start("many_cores", HELP, options, |options| run(many_cores(options)))
}

async fn many_cores(Options { cores, clients }: Options) -> Result<(), Box<dyn Error>> {
    say!("clients: {clients}, cores: {cores}");
    let cores = (0..cores.get()).map(Core::start).collect::<io::Result<Vec<_>>>()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;

    let started = Instant::now();
    let asks = gather((0..clients.get()).map(|_| ask(address))).limit(CLIENTS_AT_ONCE);
    // The first failure of either ends both.
    let (answers, served) = gather::gather!(asks, serve(&listener, &cores, clients.get())).await?;
    if let Some(wrong) = answers.iter().find(|answer| **answer != PRIMES) {
        return Err(
            format!("a client was told that there are {wrong} primes below {BELOW}, not {PRIMES}").into()
        );
    }
    let shares = served.iter().enumerate().map(|(core, count)| format!("{count} by core {core}"));
    let shares = shares.collect::<Vec<_>>().join(", ");
    say!("{} answers in {:.1?}: {shares}", answers.len(), started.elapsed());

    // A gather over all runtimes: each child is a task on another thread.
    let polls =
        gather(cores.iter().map(|core| core.handle.spawn(async || Handle::current().metrics().polls())));
    say!("a core polled {} times at most", polls.await?.into_iter().max().unwrap_or(0));
    cores.into_iter().try_for_each(Core::stop)
}

/// A thread and its runtime.
struct Core {
    handle: Handle,
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Core {
    fn start(number: usize) -> io::Result<Core> {
        let (sender, handle) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let main = async move {
            // The receiver waits for it.
            let _ = sender.send(Handle::current());
            let _ = stopped.await;
        };
        let thread = start_thread(format!("core {number}"), || run(main))?;
        let handle = handle.recv().map_err(|_| io::Error::other("a thread had no runtime"))?;
        Ok(Core { handle, thread, stop })
    }

    /// Ends the runtime when its main future is done; tasks that are left would be cancelled.
    fn stop(self) -> Result<(), Box<dyn Error>> {
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| "a core panicked".into())
    }
}

/// Accepts the clients, gives them to the cores in turn, and says how many each core has served.
async fn serve(listener: &TcpListener, cores: &[Core], clients: usize) -> io::Result<Vec<usize>> {
    let mut tasks: Vec<RemoteTask<io::Result<()>>> = Vec::new();
    for core in cores.iter().cycle().take(clients) {
        let (stream, _) = listener.accept().await?;
        let stream = stream.into_std()?; // it leaves this runtime's reactor
        tasks.push(core.handle.spawn(async move || answer(TcpStream::from_std(stream)?).await));
    }
    let mut served = vec![0; cores.len()];
    for (index, result) in gather(tasks).await.map_err(io::Error::other)?.into_iter().enumerate() {
        result?;
        served[index % cores.len()] += 1;
    }
    Ok(served)
}

/// Computes on the thread of its core, which is what that is for.
async fn answer(stream: TcpStream) -> io::Result<()> {
    let mut below = [0; 4];
    stream.read_exact(&mut below).await?;
    let primes = (2..u32::from_le_bytes(below)).filter(|number| is_prime(*number)).count();
    stream.write_all(&(primes as u32).to_le_bytes()).await
}

fn is_prime(number: u32) -> bool {
    (2..).take_while(|factor| factor * factor <= number).all(|factor| number % factor != 0)
}

async fn ask(server: SocketAddr) -> io::Result<u32> {
    let stream = TcpStream::connect(server).await?;
    stream.write_all(&BELOW.to_le_bytes()).await?;
    let mut primes = [0; 4];
    stream.read_exact(&mut primes).await?;
    Ok(u32::from_le_bytes(primes))
}
