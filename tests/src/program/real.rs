//! Running a program with gather, on a virtual clock.
//!
//! The tree is made of `Child`ren, each a leaf that follows its script, or a gather in a box. They
//! share a `World`, in which they write what happens, and which finds fault with what must never
//! happen: a poll without a wake, a poll after the end, a second drop, an output that is left.
//!
//! Next: `gathers.rs`, the gathers of a program.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use gather::{Builder, Sleep, now, sleep, spawn, yield_now};

use super::trace::{Bang, Entry, Event, Outcome, Trace};
use super::{End, Kind, Leaf, OnDrop, Program, Step, gathers};

/// Nothing in a program takes so long.
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// The root of no program is polled so often by one task. One that always wakes itself would be,
/// and time would stand still.
const MOST_POLLS: usize = 100_000;

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// When, in nanoseconds from the start.
    pub ended_at: u64,
    /// What happened until then.
    pub trace: Trace,
    /// What must never happen, and did.
    pub faults: Vec<String>,
}

/// Runs it.
pub fn run(program: &Rc<Program>) -> Report {
    let world = Rc::new(World::new(program.clone()));
    let runtime = Builder::new().virtual_clock(true).build().expect("the system has descriptors left");
    let (outcome, ended_at) = runtime.block_on(host(world.clone()));
    let trace = Trace(world.trace.take()); // the rest is a matter of the runtime
    let metrics = runtime.metrics();
    let left = (metrics.groups_alive(), metrics.timers_pending());
    world.check(left == (0, 0), || format!("groups and timers are left: {left:?}"));
    drop(runtime);
    world.check(world.outputs.get() == 0, || format!("{} outputs are left", world.outputs.get()));
    world.check(world.tasks.get() == 0, || format!("{} tasks are left", world.tasks.get()));
    for (node, state) in world.states.iter().enumerate() {
        world.check(!state.is_alive.get(), || format!("{node} was never dropped"));
    }
    Report { outcome, ended_at, trace, faults: world.faults.take() }
}

/// What the children share.
pub(super) struct World {
    pub(super) program: Rc<Program>,
    start: Cell<Option<Instant>>,
    trace: RefCell<Vec<Entry>>,
    states: Vec<State>,
    faults: RefCell<Vec<String>>,
    /// How many [`Token`]s there are.
    outputs: Cell<usize>,
    /// How many tasks there are that destructors have spawned.
    tasks: Cell<usize>,
}

/// What is known of a node.
#[derive(Default)]
struct State {
    is_alive: Cell<bool>,
    is_over: Cell<bool>,
    /// What it was last polled with.
    waker: RefCell<Option<Waker>>,
    /// Wakes that were not followed by a poll yet. Two may lead to one poll, so this may be too
    /// many and never too few.
    wakes: Cell<usize>,
}

impl World {
    fn new(program: Rc<Program>) -> World {
        let states = program.nodes.iter().map(|_| State::default()).collect();
        World {
            program,
            start: Cell::default(),
            trace: RefCell::default(),
            states,
            faults: RefCell::default(),
            outputs: Cell::default(),
            tasks: Cell::default(),
        }
    }

    fn time(&self) -> u64 {
        let start = self.start.get().expect("it has started");
        (now() - start).as_nanos() as u64
    }

    pub(super) fn note(&self, event: Event) {
        self.trace.borrow_mut().push(Entry(self.time(), event));
    }

    fn check(&self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.borrow_mut().push(fault());
        }
    }

    pub(super) fn child(self: &Rc<World>, node: usize) -> Child {
        self.check(!self.states[node].is_alive.replace(true), || format!("{node} was started twice"));
        let part = match &self.program.nodes[node].kind {
            Kind::Leaf(_) => Part::Leaf { step: 0, wait: None },
            Kind::Gather(gathering) => Part::Gather(gathers::make(self, node, gathering)),
        };
        Child { node, world: self.clone(), part }
    }

    /// A gather has given what it gives.
    pub(super) fn check_gone(&self, gather: usize) {
        for child in &self.program.gathering(gather).children {
            self.check(!self.states[*child].is_alive.get(), || {
                format!("{child} is left when {gather} is over")
            });
        }
    }

    /// Notes a wake that the script causes now.
    fn will_wake(&self, node: usize) {
        self.states[node].wakes.set(self.states[node].wakes.get() + 1);
    }

    /// Wakes another node, if it was polled and is there.
    fn wake(&self, node: usize) {
        let state = &self.states[node];
        let waker = state.waker.borrow().clone();
        if let Some(waker) = waker.filter(|_| state.is_alive.get()) {
            self.will_wake(node);
            waker.wake();
        }
    }

    pub(super) fn token(self: &Rc<World>, text: String) -> Token {
        self.outputs.set(self.outputs.get() + 1);
        Token { text, world: self.clone() }
    }
}

/// An output.
pub(super) struct Token {
    pub(super) text: String,
    world: Rc<World>,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.world.outputs.set(self.world.outputs.get() - 1);
    }
}

pub(super) type Output = Result<Token, Token>;

/// A node as a future.
pub(super) struct Child {
    node: usize,
    world: Rc<World>,
    part: Part,
}

enum Part {
    Leaf { step: usize, wait: Option<Wait> },
    Gather(Pin<Box<dyn Future<Output = Output>>>),
}

/// What a leaf waits for.
enum Wait {
    /// `true` when it was noted that the time has come.
    Sleep(Sleep, bool),
    Yield(Pin<Box<dyn Future<Output = ()>>>),
    Poll,
}

impl Future for Child {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let Child { node, world, part } = &mut *self;
        let state = &world.states[*node];
        world.check(!state.is_over.get(), || format!("{node} was polled after its end"));
        let is_first = state.waker.replace(Some(cx.waker().clone())).is_none();
        let poll = match part {
            Part::Gather(future) => future.as_mut().poll(cx),
            Part::Leaf { step, wait } => {
                world.note(Event::Poll(*node));
                if let Some(Wait::Sleep(sleep, noted)) = wait {
                    let has_come = sleep.deadline().is_some_and(|deadline| deadline <= now());
                    if has_come && !std::mem::replace(noted, true) {
                        world.will_wake(*node);
                    }
                }
                let wakes = state.wakes.get();
                world.check(is_first || wakes > 0, || format!("{node} was polled without a wake"));
                state.wakes.set(wakes.saturating_sub(usize::from(!is_first)));
                follow_script(*node, world, step, wait, cx)
            }
        };
        state.is_over.set(poll.is_ready());
        poll
    }
}

fn follow_script(
    node: usize,
    world: &Rc<World>,
    step: &mut usize,
    wait: &mut Option<Wait>,
    cx: &mut Context<'_>,
) -> Poll<Output> {
    let Kind::Leaf(Leaf { steps, end, .. }) = &world.program.nodes[node].kind else { unreachable!() };
    while let Some(next) = steps.get(*step) {
        let is_over = match wait {
            Some(Wait::Sleep(sleep, _)) => Pin::new(sleep).poll(cx).is_ready(),
            Some(Wait::Yield(future)) => future.as_mut().poll(cx).is_ready(),
            Some(Wait::Poll) => true,
            None => {
                *wait = Some(match *next {
                    Step::Sleep(nanoseconds) => Wait::Sleep(sleep(Duration::from_nanos(nanoseconds)), false),
                    Step::Yield => Wait::Yield(Box::pin(yield_now())),
                    Step::WakeSelf | Step::Thread => Wait::Poll,
                });
                match wait {
                    Some(Wait::Sleep(sleep, _)) => Pin::new(sleep).poll(cx).is_ready(),
                    None => false,
                    Some(Wait::Yield(future)) => {
                        world.will_wake(node);
                        future.as_mut().poll(cx).is_ready()
                    }
                    Some(Wait::Poll) => {
                        world.will_wake(node);
                        match next {
                            Step::Thread => wake_from_another_thread(cx.waker()),
                            _ => cx.waker().wake_by_ref(),
                        }
                        false
                    }
                }
            }
        };
        if !is_over {
            return Poll::Pending;
        }
        *wait = None;
        *step += 1;
    }
    world.note(Event::End(node, format!("{end:?}")));
    match end {
        End::Ok => Poll::Ready(Ok(world.token(node.to_string()))),
        End::Err => Poll::Ready(Err(world.token(node.to_string()))),
        End::Panic => bang(Bang::Poll(node)),
    }
}

/// Panics, without a word of the panic hook.
pub(super) fn bang(bang: Bang) -> ! {
    resume_unwind(Box::new(bang))
}

/// What a caught panic was. One that is not on purpose goes on.
fn bang_of(panic: Box<dyn Any + Send>) -> Bang {
    match panic.downcast_ref::<Bang>() {
        Some(bang) => *bang,
        None if panic.downcast_ref::<&str>().is_some_and(|text| text.contains(NO_WINNER)) => Bang::NoWinner,
        None => resume_unwind(panic),
    }
}

/// The words of the one panic in these programs that the panic hook sees.
pub const NO_WINNER: &str = "a race without children has no winner";

impl Drop for Child {
    fn drop(&mut self) {
        let Child { node, world, .. } = self;
        world.note(Event::Drop(*node));
        world.check(world.states[*node].is_alive.replace(false), || format!("{node} was dropped twice"));
        let Kind::Leaf(Leaf { on_drop, .. }) = &world.program.nodes[*node].kind else { return };
        let family = &world.program.nodes[*node];
        match on_drop {
            OnDrop::Plain => {}
            OnDrop::Panics if thread::panicking() => {}
            OnDrop::Panics => bang(Bang::Drop(*node)),
            OnDrop::Spawns => {
                world.tasks.set(world.tasks.get() + 1);
                let guard = TaskGuard(world.clone());
                spawn(async move { drop(guard) }).detach();
            }
            OnDrop::WakesSelf => {
                let waker = world.states[*node].waker.borrow().clone();
                waker.into_iter().for_each(Waker::wake);
            }
            OnDrop::WakesSibling => family.sibling.into_iter().for_each(|sibling| world.wake(sibling)),
            OnDrop::WakesParent => family.parent.into_iter().for_each(|parent| world.wake(parent)),
        }
    }
}

struct TaskGuard(Rc<World>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.tasks.set(self.0.tasks.get() - 1);
    }
}

thread_local! {
    /// A thread that wakes what it is given, and says so.
    static HELPER: (Sender<Waker>, Receiver<()>) = {
        let (wakers, to_wake) = mpsc::channel::<Waker>();
        let (done, woken) = mpsc::channel();
        thread::spawn(move || {
            for waker in to_wake {
                waker.wake();
                let _ = done.send(());
            }
        });
        (wakers, woken)
    };
}

/// Returns when the other thread has woken it, so that each run is the same.
fn wake_from_another_thread(waker: &Waker) {
    HELPER.with(|(wakers, woken)| {
        wakers.send(waker.clone()).expect("the thread lives as long as this one");
        woken.recv().expect("it answers");
    });
}

/// Polls the root as the program's host does, with a last resort: what waits for ever is stuck.
async fn host(world: Rc<World>) -> (Outcome, u64) {
    world.start.set(Some(now()));
    let root = Box::new(world.child(0));
    let stages = world.program.host.moves.clone();
    let mut rest = pin!(stage(world.clone(), root, stages.into_iter()));
    let mut forever = sleep(FOREVER);
    poll_fn(|cx| match rest.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => Pin::new(&mut forever).poll(cx).map(|()| (Outcome::Stuck, world.time())),
    })
    .await
}

/// Polls the root until it moves on, or is over.
fn stage(
    world: Rc<World>,
    mut root: Box<Child>,
    mut moves: std::vec::IntoIter<u64>,
) -> Pin<Box<dyn Future<Output = (Outcome, u64)>>> {
    Box::pin(async move {
        let host = &world.program.host;
        let next_move = moves.next();
        let mut time = next_move.or(host.cancel).map(|after| sleep(Duration::from_nanos(after)));
        let mut polls = 0;
        let polled = poll_fn(|cx| {
            polls += 1;
            if polls > MOST_POLLS {
                return Poll::Ready(Some(Outcome::Stuck));
            }
            let foreign = Waker::from(Arc::new(Forward(cx.waker().clone())));
            let mut foreign_cx = Context::from_waker(if host.is_foreign { &foreign } else { cx.waker() });
            match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *root).poll(&mut foreign_cx))) {
                Ok(Poll::Ready(Ok(token))) => Poll::Ready(Some(Outcome::Output(Ok(gathers::text(token))))),
                Ok(Poll::Ready(Err(token))) => Poll::Ready(Some(Outcome::Output(Err(gathers::text(token))))),
                Err(panic) => Poll::Ready(Some(Outcome::Panic(bang_of(panic)))),
                Ok(Poll::Pending) => match &mut time {
                    Some(time) => Pin::new(time).poll(cx).map(|()| None),
                    None => Poll::Pending,
                },
            }
        })
        .await;
        let ended_at = world.time();
        if polled.is_none() && next_move.is_some() {
            let next_stage = stage(world.clone(), root, moves);
            return spawn(next_stage).await.expect("panics of the root are caught");
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(root)));
        (polled.unwrap_or(Outcome::Cancelled(dropped.is_err())), ended_at)
    })
}

/// A waker of another library.
struct Forward(Waker);

impl Wake for Forward {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}
