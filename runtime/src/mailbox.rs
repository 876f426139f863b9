//! What other threads can reach of a runtime: its mailbox.
//!
//! A process has a fixed row of mailboxes, made when first needed and kept for good, so that a wake finds one by
//! number without a lock and without a reference count. A runtime takes a number when it starts and gives it
//! back when it ends; numbers are used again as late as possible, so that late wakes find nobody. A mailbox has
//! two slots:
//!
//! * **wakes**: ids, in an [`Inbox`](crate::inbox) that never blocks and has no bound: a wake that blocked or was dropped would
//!   be worse than the eight bytes that each one costs until the loop takes it. The loop takes a bounded number of them in one turn.
//! * **commands**: what needs an answer "that runtime is gone", behind a small lock: spawn this, cancel that.
//!
//! Next: [`inbox`](crate::inbox), the wakes on their way.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::id::{FITS_A_WORD, Id, MAX_RUNTIMES, Target};
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::patience::Patience;

/// Which runtime: in the lower half the number of its mailbox, which its wakers carry; in the upper half which of the
/// runtimes that had this mailbox. (One word, because it is compared wherever something is looked up.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeId(u64);

impl RuntimeId {
    /// No runtime. A thread that runs none has this id, which no waker and no handle ever matches: no mailbox has this number.
    pub(crate) const NONE: RuntimeId = RuntimeId::new(u32::MAX, 0);

    const fn new(number: u32, serial: u32) -> RuntimeId {
        RuntimeId((serial as u64) << 32 | number as u64)
    }

    #[inline]
    pub(crate) const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Never used twice.
    #[inline]
    pub(crate) const fn serial(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What one runtime asks of another, or of itself from outside its loop.
pub(crate) enum Command {
    /// Drop the row of a group whose owner was dropped on another thread.
    RemoveGroup(u32),
    /// Drop the row of a timer, likewise.
    RemoveTimer(u32),
    /// Drop the row of a socket, likewise.
    RemoveSource(usize),
    /// Cancel a task.
    CancelTask { row: u32, serial: u64 },
    /// The handle of a task was dropped elsewhere: cancel it, or drop its output.
    DropTask { row: u32, serial: u64 },
    /// The handle of a task was detached elsewhere.
    DetachTask { row: u32, serial: u64 },
    /// Run this on the runtime's thread: a spawn, or a look into its tables.
    Run(Box<dyn FnOnce() + Send>),
}

/// What other threads can reach of a runtime.
struct Mailbox {
    /// Ids that were woken on other threads, and whether the runtime sleeps.
    wakes: Inbox,
    /// Whether a runtime takes what is posted here.
    open: AtomicBool,
    /// How to end its sleep. In a lock of its own, which is held just to look: the system call comes after.
    bell: Mutex<Option<Arc<mio::Waker>>>,
    /// The rest, behind a lock.
    inner: Mutex<Inner>,
}

/// The part of a mailbox that needs a lock.
struct Inner {
    /// The runtime that has the mailbox now.
    owner: RuntimeId,
    /// What it was asked to do.
    commands: Vec<Command>,
    /// What its loop counted, as of its last look at the reactor.
    metrics: Metrics,
}

/// How many mailboxes are in a row.
const ROW: usize = 32;

/// Places of mailboxes, each of which is made when it is needed: a mailbox has 640 bytes, and most processes need one.
type Row = [OnceLock<Box<Mailbox>>; ROW];

/// All mailboxes, by number, in rows: a place that was never used is a byte pattern in the program's file, so there are few.
static MAILBOXES: [OnceLock<Box<Row>>; MAX_RUNTIMES / ROW + 1] =
    [const { OnceLock::new() }; MAX_RUNTIMES / ROW + 1];

/// Which numbers are free.
static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { opened: 0, serial: 0, returned: VecDeque::new() });

struct Numbers {
    /// The highest number that was ever taken.
    opened: u32,
    /// The serial number of the last runtime.
    serial: u32,
    /// The numbers that were given back, oldest first.
    returned: VecDeque<u32>,
}

impl Numbers {
    /// A number is used again only when this many wait, so that late wakes find nobody, and a process that
    /// starts runtimes over and over still has few mailboxes, with numbers that fit a waker's word.
    const REST: usize = if FITS_A_WORD { 64 } else { 16 };

    fn take(&mut self) -> io::Result<RuntimeId> {
        let fresh_left = (self.opened as usize) < MAX_RUNTIMES;
        let number = if fresh_left && self.returned.len() < Self::REST {
            self.opened += 1;
            self.opened
        } else {
            self.returned.pop_front().ok_or_else(|| {
                io::Error::other(format!(
                    "this process already has {MAX_RUNTIMES} gather runtimes, which is the limit"
                ))
            })?
        };
        self.serial = self.serial.checked_add(1).expect("gather: four billion runtimes were started");
        Ok(RuntimeId::new(number, self.serial))
    }
}

/// A wake with this id says "look at the commands".
const COMMANDS: Id = Id::new(0, Target::Task { row: 0, generation: 0 });

fn mailbox(number: u32) -> Option<&'static Mailbox> {
    let row = MAILBOXES.get(number as usize / ROW)?.get()?;
    row[number as usize % ROW].get().map(|mailbox| &**mailbox)
}

/// Posts a wake from outside the runtime's thread. Never blocks, but for the ring.
pub(crate) fn post(id: Id) {
    let Some(mailbox) = mailbox(id.runtime()) else { return };
    if mailbox.open.load(Ordering::Relaxed) {
        mailbox.push(id);
    }
}

/// Lets the loop come round, without telling it anything.
pub(crate) fn nudge(runtime: RuntimeId) {
    if runtime != RuntimeId::NONE {
        post(Id::new(runtime.number(), COMMANDS.target()));
    }
}

/// Sends a command, or gives it back if that runtime is gone.
pub(crate) fn send(to: RuntimeId, command: Command) -> Result<(), Command> {
    let Some(mailbox) = mailbox(to.number()) else { return Err(command) };
    {
        let mut inner = mailbox.inner.lock();
        if inner.owner != to {
            return Err(command);
        }
        inner.commands.push(command);
    }
    mailbox.push(COMMANDS);
    Ok(())
}

/// Whether that runtime is still there.
pub(crate) fn is_alive(runtime: RuntimeId) -> bool {
    mailbox(runtime.number()).is_some_and(|mailbox| mailbox.inner.lock().owner == runtime)
}

/// What that runtime counted until its loop last looked at the reactor; zeros if it is gone.
pub(crate) fn metrics(runtime: RuntimeId) -> Metrics {
    mailbox(runtime.number())
        .map(|mailbox| mailbox.inner.lock())
        .filter(|inner| inner.owner == runtime)
        .map_or_else(Metrics::default, |inner| inner.metrics.clone())
}

impl Mailbox {
    fn new() -> Mailbox {
        let inner = Inner { owner: RuntimeId::NONE, commands: Vec::new(), metrics: Metrics::default() };
        Mailbox {
            wakes: Inbox::new(),
            open: AtomicBool::new(false),
            bell: Mutex::new(None),
            inner: Mutex::new(inner),
        }
    }

    fn push(&self, id: Id) {
        if self.wakes.push(id) {
            let bell = self.bell.lock().clone();
            if let Some(bell) = bell {
                // An eventfd that cannot take a write is already readable, so an error loses nothing.
                let _ = bell.wake();
            }
        }
    }
}

/// A runtime's end of its mailbox: while it exists, the runtime can be reached.
pub(crate) struct Receiver {
    id: RuntimeId,
    mailbox: &'static Mailbox,
    /// What was taken from the mailbox and not handed out yet.
    taken: VecDeque<Id>,
    /// Whether it waits a little for more letters.
    patience: Patience,
}

/// What was in the mailbox.
pub(crate) enum Letter {
    Wake(Id),
    Commands(Vec<Command>),
}

impl Receiver {
    /// Takes a number, and the mailbox of that number.
    pub(crate) fn open(bell: mio::Waker) -> io::Result<Receiver> {
        let id = NUMBERS.lock().take()?;
        let number = id.number() as usize;
        let row = MAILBOXES[number / ROW].get_or_init(|| Box::new([const { OnceLock::new() }; ROW]));
        let mailbox = row[number % ROW].get_or_init(|| Box::new(Mailbox::new()));
        {
            let mut inner = mailbox.inner.lock();
            inner.owner = id;
            inner.metrics = Metrics::default();
        }
        *mailbox.bell.lock() = Some(Arc::new(bell));
        mailbox.open.store(true, Ordering::Relaxed);
        Ok(Receiver { id, mailbox, taken: VecDeque::new(), patience: Patience::default() })
    }

    pub(crate) fn id(&self) -> RuntimeId {
        self.id
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mailbox.wakes.is_empty()
    }

    /// After letters, when there is nothing else to do: waits a little for more, if that may help. Says whether some came.
    pub(crate) fn expect_more(&self) -> bool {
        self.patience.wait(|| !self.is_empty())
    }

    /// The loop has slept so long.
    pub(crate) fn note_sleep(&self, slept: Duration) {
        self.patience.note_sleep(slept);
    }

    /// Empties the mailbox, as far as it was filled until now, and says how many letters there are to be [taken](Receiver::take).
    pub(crate) fn collect(&mut self) -> usize {
        self.patience.let_gather();
        let beside = if self.taken.is_empty() { self.mailbox.wakes.take(&mut self.taken) } else { 0 };
        let letters = self.taken.len() + beside;
        self.patience.note_letters(letters);
        letters
    }

    /// The next letter of those that were collected.
    pub(crate) fn take(&mut self) -> Option<Letter> {
        let id = self.taken.pop_front().or_else(|| self.mailbox.wakes.pop())?;
        Some(if id == COMMANDS {
            Letter::Commands(std::mem::take(&mut self.mailbox.inner.lock().commands))
        } else {
            Letter::Wake(id)
        })
    }

    pub(crate) fn lie_down(&self) -> bool {
        debug_assert!(self.taken.is_empty(), "what was collected is handed out in the same round");
        self.mailbox.wakes.lie_down()
    }

    pub(crate) fn get_up(&self) {
        self.mailbox.wakes.get_up();
    }

    pub(crate) fn publish(&self, metrics: Metrics) {
        self.mailbox.inner.lock().metrics = metrics;
    }

    /// Ends the runtime for all others, and returns what it was still asked to do, to be dropped with nothing
    /// locked. The number stays taken until the receiver is dropped, so a second call does no harm.
    pub(crate) fn close(&self) -> Vec<Command> {
        let mut inner = self.mailbox.inner.lock();
        self.mailbox.open.store(false, Ordering::Relaxed);
        inner.owner = RuntimeId::NONE;
        let commands = std::mem::take(&mut inner.commands);
        drop(inner);
        *self.mailbox.bell.lock() = None;
        // What comes after this is for nobody, or for the next owner, which it wakes for nothing.
        self.mailbox.wakes.clear();
        commands
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.close());
        // Last: from here on another runtime may have the number, and nothing of this one may answer to it.
        NUMBERS.lock().returned.push_back(self.id.number());
    }
}
