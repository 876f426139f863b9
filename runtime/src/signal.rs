//! Waiting for the signals of Unix: Ctrl-C, and a service manager's wish that the process end.
//!
//! ```no_run
//! use gather_runtime::{run, signal, sleep, spawn};
//! use std::time::Duration;
//!
//! run(async {
//!     let server = spawn(async { sleep(Duration::MAX).await });
//!     signal::ctrl_c().await?; // from here on another Ctrl-C kills the process
//!     server.cancel();
//!     Ok::<(), std::io::Error>(())
//! })
//! # .unwrap();
//! ```
//!
//! # While somebody listens, and after
//!
//! A signal goes to all in the process who listen for it, on all threads, and does nothing else.
//! **When nobody listens any more, it again does what the system does by default.** After
//! [`ctrl_c`] that is after the first one: so a second Ctrl-C kills a process that takes too long
//! to end, though its loop may be blocked. A [`Signals`] that is kept goes on listening. (So keep
//! one if the program handles the same signal with another library, too, or was started with the
//! signal ignored, as `nohup` does with [`Hangup`](Signal::Hangup): neither is looked at.)
//!
//! # Implementation
//!
//! The crate signal-hook sets a flag and writes a byte into a socket from the signal's handler,
//! where little else is allowed. The other end is a [`UnixStream`] of this runtime, so a signal
//! is an event like any other. Each signal has a flag and a pair of sockets of its own.
//!
//! The byte only wakes; the flag says that the signal came. A forked child process shares the
//! socket until it executes its program, and it runs the same handler, but it has a flag of its
//! own. So its signals, such as the Ctrl-C that goes to all processes of a terminal, are not
//! heard here.
//!
//! A handler, once there, stays; so it also looks whether somebody listens, and if not does what
//! the system would.
//!
//! Next: [`trace`](crate::trace), for the feature `tracing`.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use signal_hook::consts;
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

use crate::net::UnixStream;
use crate::source::Direction;

/// Waits for the next Ctrl-C ([`Signal::Interrupt`]), from the first poll on. Afterwards, or if it
/// is dropped, Ctrl-C kills the process again, unless somebody else listens.
///
/// # Errors
///
/// If the system has no descriptors left.
///
/// # Panics
///
/// If this thread runs no runtime.
pub async fn ctrl_c() -> io::Result<()> {
    Signals::new([Signal::Interrupt])?.recv().await.map(drop)
}

/// Waits for the next [`Signal::Terminate`], which is what `kill` and service managers send. All
/// else is as with [`ctrl_c`].
///
/// # Errors
///
/// If the system has no descriptors left.
///
/// # Panics
///
/// If this thread runs no runtime.
pub async fn terminate() -> io::Result<()> {
    Signals::new([Signal::Terminate])?.recv().await.map(drop)
}

/// A signal of Unix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGHUP`: the terminal is gone; to servers often: read the configuration again.
    Hangup,
    /// `SIGINT`: Ctrl-C.
    Interrupt,
    /// `SIGQUIT`: Ctrl-\\.
    Quit,
    /// `SIGTERM`: end, please.
    Terminate,
    /// `SIGUSR1`.
    User1,
    /// `SIGUSR2`.
    User2,
    /// `SIGCHLD`: a child process has ended.
    Child,
    /// `SIGWINCH`: the terminal has another size.
    WindowChange,
}

impl Signal {
    /// The system's number.
    pub fn number(self) -> i32 {
        match self {
            Signal::Hangup => consts::SIGHUP,
            Signal::Interrupt => consts::SIGINT,
            Signal::Quit => consts::SIGQUIT,
            Signal::Terminate => consts::SIGTERM,
            Signal::User1 => consts::SIGUSR1,
            Signal::User2 => consts::SIGUSR2,
            Signal::Child => consts::SIGCHLD,
            Signal::WindowChange => consts::SIGWINCH,
        }
    }
}

/// Listens for some signals, from when it is made until it is dropped.
///
/// ```
/// use gather_runtime::signal::{Signal, Signals};
///
/// gather_runtime::run(async {
///     let mut signals = Signals::new([Signal::Interrupt, Signal::User1])?;
///     # let kill = format!("kill -USR1 {}", std::process::id());
///     # std::process::Command::new("sh").args(["-c", &kill]).status()?;
///     // Somebody does `kill -USR1`.
///     assert_eq!(signals.recv().await?, Signal::User1);
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct Signals {
    listening: Vec<Listening>,
}

impl Signals {
    /// Listens for these signals. One that is listed twice is heard once.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left: it takes two for each signal.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
        let mut listening = Vec::<Listening>::new();
        for signal in signals {
            if listening.iter().all(|known| known.signal != signal) {
                listening.push(Listening::new(signal)?);
            }
        }
        Ok(Signals { listening })
    }

    /// Waits for the next signal. If a signal comes again before it was heard, it is heard once,
    /// as the system itself merges such signals. Different signals are heard in turn, so that
    /// none starves the others, and not in the order in which they came. Dropping the future
    /// loses none. Without any signals to listen for it waits for ever.
    ///
    /// # Errors
    ///
    /// If the runtime in which this was made has ended.
    pub async fn recv(&mut self) -> io::Result<Signal> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Signal>> {
        for index in 0..self.listening.len() {
            let Listening { signal, bytes, has_come, .. } = &self.listening[index];
            loop {
                let mut wait = bytes.source.poll_wait(Direction::Read);
                let Poll::Ready(result) = bytes.source.poll_read(cx, &mut wait, &mut [0; 64]) else { break };
                drop(wait);
                result?;
                if has_come.swap(false, Ordering::SeqCst) {
                    let signal = *signal;
                    self.listening.rotate_left(index + 1); // the others come first the next time
                    return Poll::Ready(Ok(signal));
                }
            }
        }
        Poll::Pending
    }
}

/// One listener for one signal.
#[derive(Debug)]
struct Listening {
    signal: Signal,
    /// Set by the handler before it writes, and cleared after a read: so while it is set, a byte
    /// is there or on its way.
    has_come: Arc<AtomicBool>,
    /// A byte comes for each signal.
    bytes: UnixStream,
    /// The parts of the handler that set the flag and write the byte.
    actions: [SigId; 2],
}

impl Listening {
    fn new(signal: Signal) -> io::Result<Listening> {
        let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
        let bytes = UnixStream::from_std(reader)?;
        Listeners::prepare(signal)?;
        let has_come = Arc::new(AtomicBool::new(false));
        // A handler does things in the order in which they were registered.
        let setter = flag::register(signal.number(), has_come.clone())?;
        let writer = pipe::register(signal.number(), writer).inspect_err(|_| {
            unregister(setter);
        })?;
        Listeners::change(signal, |count| count + 1);
        Ok(Listening { signal, has_come, bytes, actions: [setter, writer] })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        Listeners::change(self.signal, |count| count - 1);
        for action in self.actions {
            unregister(action); // the one that writes closes its end
        }
    }
}

/// How many in this process listen for one signal.
struct Listeners {
    signal: Signal,
    count: usize,
    /// Nobody does, so the handler is to do what the system does by default.
    nobody: Arc<AtomicBool>,
}

/// A row for each signal that ever had a listener: its handler stays.
static LISTENERS: Mutex<Vec<Listeners>> = Mutex::new(Vec::new());

impl Listeners {
    /// Sees to it that the handler does what the system would while nobody listens. It does things
    /// in the order in which they were registered, so this has to come before who listens: it then
    /// looks whether somebody does before that somebody can hear of the signal and be gone.
    fn prepare(signal: Signal) -> io::Result<()> {
        let mut all = LISTENERS.lock();
        if !all.iter().any(|listeners| listeners.signal == signal) {
            let nobody = Arc::new(AtomicBool::new(true));
            flag::register_conditional_default(signal.number(), nobody.clone())?;
            all.push(Listeners { signal, count: 0, nobody });
        }
        Ok(())
    }

    fn change(signal: Signal, change: impl Fn(usize) -> usize) {
        for listeners in LISTENERS.lock().iter_mut().filter(|listeners| listeners.signal == signal) {
            listeners.count = change(listeners.count);
            listeners.nobody.store(listeners.count == 0, Ordering::SeqCst);
        }
    }
}
