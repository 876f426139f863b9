//! What other threads can reach of a runtime: its mailbox.
//!
//! A mailbox has two parts:
//!
//! * **wakes**: ids, in a list behind a lock that no wake waits for. Where another thread has it
//!   just then, or the list is full, the wake goes to a queue that takes no lock and has no bound:
//!   a wake that blocked or was dropped would be worse than the 16 bytes that each takes until the
//!   loop comes to it. With the queue alone, where two threads take its cache lines from each
//!   other with every wake, a thread that wakes 1,000 tasks needs more than twice the time for
//!   each.
//! * **messages**: closures that run on the runtime's thread, behind a small lock, because their
//!   senders have to know when the runtime is gone. Each has an id among the wakes that names
//!   nobody, so it is delivered no earlier than the batch with the wakes that were sent before it.
//!
//! Whatever a thread does to the tables of another goes through [`on_home`].
//!
//! Mailboxes are made when they are first needed and kept for good, so a wake finds one by number,
//! without a lock and without a reference count. A runtime takes a number when it starts and gives
//! it back when it ends. Numbers rest before they are used again, so that late wakes find nobody.
//!
//! Next: [`doorbell`](crate::doorbell), when a wake has to end the sleep of the loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hint;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_queue::SegQueue;
use parking_lot::Mutex;

use crate::contain::contain;
use crate::doorbell::{Doorbell, Repeats};
use crate::id::{FITS_A_WORD, Id, MAX_RUNTIMES};
use crate::local::{self, Local};
use crate::metrics::Metrics;

/// Which runtime: in the lower half the number of its mailbox, which its wakers carry; in the
/// upper half which of the runtimes that had this mailbox. One word, because lookups compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeId(u64);

impl RuntimeId {
    /// The id of a thread that runs no runtime. No waker and no handle ever matches it, because no
    /// mailbox has this number.
    pub(crate) const NONE: RuntimeId = RuntimeId::new(u32::MAX, 0);

    const fn new(number: u32, serial: u32) -> RuntimeId {
        RuntimeId((serial as u64) << 32 | number as u64)
    }

    #[inline]
    pub(crate) const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Never used twice.
    pub(crate) const fn serial(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// How often [`Receiver::spin`] looks for wakes, and how long it leaves them alone between two
/// looks: each look takes the cache line from the thread that sends them.
const LOOKS: usize = 32;
const PAUSES: usize = 32;

/// After spins in vain at most two to this power, less one, are left out.
const MOST_DOUBT: u32 = 5;

/// How many ids the list has room for.
const ROOM: usize = 256;

/// What runs on the thread of a runtime.
pub(crate) type Message = Box<dyn FnOnce(&Local) + Send>;

/// What other threads can reach of a runtime.
#[derive(Default)]
struct Mailbox {
    /// Ids that were woken on other threads.
    list: Mutex<VecDeque<Id>>,
    /// Those for which the list was taken or full.
    overflow: SegQueue<Id>,
    /// Whether a push has to end the sleep of the loop.
    doorbell: Doorbell,
    /// Wakes that need no push, because the same id is in the queue.
    repeats: Repeats,
    /// Whether there is an owner: a late wake adds nothing to the queue.
    open: AtomicBool,
    /// The runtime that has the mailbox now.
    owner: Mutex<Option<Owner>>,
}

/// The part of a mailbox that belongs to one runtime.
struct Owner {
    runtime: RuntimeId,
    /// In the order in which they were sent.
    messages: Vec<Message>,
    /// Ends the sleep of the loop, with a system call.
    notifier: Arc<mio::Waker>,
    /// What the loop counted, as of its last look at the reactor.
    metrics: Metrics,
}

/// All mailboxes, in rows that double: row k holds the numbers from 2^k on. Most processes need
/// one mailbox, of some 600 bytes.
static MAILBOXES: [OnceLock<Box<[Mailbox]>>; MAX_RUNTIMES.ilog2() as usize + 1] =
    [const { OnceLock::new() }; MAX_RUNTIMES.ilog2() as usize + 1];

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
    /// How many numbers rest before one of them is used again. Few, so that a process that starts
    /// runtimes over and over has few mailboxes, with numbers that fit a waker's word.
    const REST: usize = if FITS_A_WORD { 64 } else { 16 };

    fn take(&mut self) -> io::Result<RuntimeId> {
        let fresh_left = (self.opened as usize) < MAX_RUNTIMES;
        let number = if fresh_left && self.returned.len() < Self::REST {
            self.opened += 1;
            self.opened
        } else {
            let limit =
                || format!("this process already has {MAX_RUNTIMES} gather runtimes, which is the limit");
            self.returned.pop_front().ok_or_else(|| io::Error::other(limit()))?
        };
        self.serial = self.serial.checked_add(1).expect("gather: four billion runtimes were started");
        Ok(RuntimeId::new(number, self.serial))
    }
}

/// The row of a mailbox, and its place in the row.
fn place(number: u32) -> Option<(usize, usize)> {
    let row = number.checked_ilog2()?;
    Some((row as usize, (number - (1 << row)) as usize))
}

fn mailbox(number: u32) -> Option<&'static Mailbox> {
    let (row, place) = place(number)?;
    MAILBOXES.get(row)?.get()?.get(place)
}

/// Posts a wake from outside the runtime's thread. It never blocks, except for the system call
/// that ends a sleep.
pub(crate) fn post(id: Id) {
    let Some(mailbox) = mailbox(id.runtime()) else { return };
    let is_repeat = || id.word().is_some_and(|word| mailbox.repeats.has(word));
    if mailbox.open.load(Ordering::Relaxed) && !is_repeat() {
        mailbox.push(id);
    }
}

/// Runs `f` with the tables of that runtime: now, if this is its thread and it runs, or else when
/// the loop there comes to it. Returns `false` if that runtime is gone, and drops `f`.
#[inline]
pub(crate) fn on_home(runtime: RuntimeId, f: impl FnOnce(&Local) + Send + 'static) -> bool {
    local::with(|local| {
        if local.id() == runtime {
            f(local);
            return true;
        }
        send(runtime, f)
    })
}

/// As [`on_home`], but always when the loop comes to it.
#[cold]
pub(crate) fn send(to: RuntimeId, f: impl FnOnce(&Local) + Send + 'static) -> bool {
    let Some(mailbox) = mailbox(to.number()) else { return false };
    let message = Box::new(f); // before the lock, because it may be dropped after it
    {
        let mut owner = mailbox.owner.lock();
        let Some(owner) = owner.as_mut().filter(|owner| owner.runtime == to) else { return false };
        owner.messages.push(message);
    }
    mailbox.push(Id::NOBODY);
    true
}

/// Whether that runtime is still there.
pub(crate) fn is_alive(runtime: RuntimeId) -> bool {
    metrics(runtime).is_some()
}

/// What that runtime counted until its loop last looked at the reactor; `None` if it is gone.
pub(crate) fn metrics(runtime: RuntimeId) -> Option<Metrics> {
    let owner = mailbox(runtime.number())?.owner.lock();
    owner.as_ref().filter(|owner| owner.runtime == runtime).map(|owner| owner.metrics.clone())
}

impl Mailbox {
    fn is_empty(&self) -> bool {
        self.list.lock().is_empty() && self.overflow.is_empty()
    }

    fn push(&self, id: Id) {
        let must_notify = match self.list.try_lock() {
            Some(mut list) if list.len() < ROOM => {
                list.push_back(id);
                drop(list);
                self.doorbell.must_notify_after_lock()
            }
            list => {
                drop(list);
                self.overflow.push(id);
                self.doorbell.must_notify()
            }
        };
        if must_notify {
            let notifier = self.owner.lock().as_ref().map(|owner| owner.notifier.clone());
            // An eventfd that cannot take a write is already readable, so an error loses nothing.
            let _ = notifier.map(|notifier| notifier.wake());
        }
    }
}

/// A runtime's end of its mailbox: while it exists, the runtime can be reached.
pub(crate) struct Receiver {
    pub(crate) id: RuntimeId,
    mailbox: &'static Mailbox,
    /// Exchanged with the list, so that both keep their memory.
    taken: RefCell<VecDeque<Id>>,
    /// How many spins in a row were in vain, up to a limit, and how many are still left out.
    doubt: Cell<u32>,
    left_out: Cell<u32>,
}

impl Receiver {
    /// Takes a number, and the mailbox of that number.
    pub(crate) fn open(notifier: mio::Waker) -> io::Result<Receiver> {
        let id = NUMBERS.lock().take()?;
        let (row, place) = place(id.number()).expect("numbers start at 1");
        let row = MAILBOXES[row].get_or_init(|| (0..1 << row).map(|_| Mailbox::default()).collect());
        let (mailbox, metrics) = (&row[place], Metrics::default());
        let owner = Owner { runtime: id, messages: Vec::new(), notifier: Arc::new(notifier), metrics };
        *mailbox.owner.lock() = Some(owner);
        mailbox.open.store(true, Ordering::Relaxed);
        let (doubt, left_out) = (Cell::new(0), Cell::new(0));
        Ok(Receiver { id, mailbox, taken: RefCell::default(), doubt, left_out })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mailbox.is_empty()
    }

    /// Looks for wakes for about twenty microseconds. Returns whether something has come.
    ///
    /// A thread that wakes a parked loop pays fifty times as much as one that wakes a loop that runs.
    /// Ten million wakes (`wake_stress`) need 1,000 to 20,000 notifications, and 220,000 with a
    /// quarter of these looks. Where it does not help, as on one core, it is tried only now and then:
    /// a wake takes 1.3 µs there, and 2.6 if it is tried each time.
    pub(crate) fn spin(&self) -> bool {
        if let Some(left) = self.left_out.get().checked_sub(1) {
            self.left_out.set(left);
            return false;
        }
        let has_come = (0..LOOKS).any(|_| {
            (0..PAUSES).for_each(|_| hint::spin_loop());
            !self.is_empty()
        });
        self.doubt.set(if has_come { 0 } else { (self.doubt.get() + 1).min(MOST_DOUBT) });
        self.left_out.set((1 << self.doubt.get()) - 1);
        has_come
    }

    /// Delivers what has come until now, but at most this much. Returns how much it was.
    pub(crate) fn deliver(&self, local: &Local, at_most: usize) -> u32 {
        if self.is_empty() {
            return 0;
        }
        let mut taken = self.taken.take();
        mem::swap(&mut *self.mailbox.list.lock(), &mut taken);
        let beside = self.mailbox.overflow.len().min(at_most);
        let count = taken.len() + beside;
        let repeats = self.mailbox.repeats.forget();
        local.counters.wakes.add(repeats);
        local.counters.remote_wakes.add(repeats);
        let beside = (0..beside).map_while(|_| self.mailbox.overflow.pop());
        taken.drain(..).chain(beside).for_each(|id| self.deliver_one(local, id));
        self.taken.replace(taken);
        count as u32
    }

    fn deliver_one(&self, local: &Local, id: Id) {
        if id != Id::NOBODY {
            local.counters.remote_wakes.add(1);
            return local.wake_contained(id);
        }
        let mut owner = self.mailbox.owner.lock();
        let messages = owner.as_mut().map(|owner| mem::take(&mut owner.messages));
        drop(owner);
        // One may drop a foreign waker, whose destructor may panic.
        messages.into_iter().flatten().for_each(|message| contain(|| message(local)));
    }

    /// The loop is about to park. If this returns `false`, something has come, and it must not.
    pub(crate) fn park(&self) -> bool {
        self.mailbox.doorbell.park(|| self.is_empty())
    }

    /// The loop runs again.
    pub(crate) fn unpark(&self) {
        self.mailbox.doorbell.unpark();
    }

    pub(crate) fn publish(&self, metrics: Metrics) {
        if let Some(owner) = &mut *self.mailbox.owner.lock() {
            owner.metrics = metrics;
        }
    }

    /// Ends the runtime for all others, and returns what it was still asked to do, to be dropped
    /// with nothing locked. The number stays taken until the receiver is dropped, so a second call
    /// does no harm.
    pub(crate) fn close(&self) -> Vec<Message> {
        self.mailbox.open.store(false, Ordering::Relaxed);
        let owner = self.mailbox.owner.lock().take();
        // A wake that comes after this is for the next owner, which it wakes for nothing.
        self.mailbox.list.lock().clear();
        let count = self.mailbox.overflow.len();
        self.mailbox.repeats.forget();
        for _ in 0..count {
            self.mailbox.overflow.pop();
        }
        owner.map(|owner| owner.messages).unwrap_or_default()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.close());
        // Last: from here on another runtime may have the number.
        NUMBERS.lock().returned.push_back(self.id.number());
    }
}
