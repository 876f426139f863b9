//! Every mode of a gather behind one face, so that a promise is one test for all modes.
//!
//! A [`Brood`] is some children that a test finishes, and a log of all that is done to them.
//! [`Mode::gather`] gathers them in that mode, and gives in the end which children gave what, the
//! same for every mode. What a mode gives is only looked at after [`Event::Ended`] was noted,
//! while the gather is still there: what was dropped before that was dropped by the gather.
//!
//! `wait` is not among them: its tasks are polled by the loop, and nothing ends by its end.

use std::cell::RefCell;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use gather::{GatherStream, Kept, Policy, Siblings, gather, scope};

use crate::children::{Child, Control, Log, children};

/// A time that is never over: the tests that use it run on the real clock, or never sleep.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How many children the macros are called with.
pub const FIVE: usize = 5;

/// What happens to the child with that index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was taken from the input.
    Pulled(usize),
    /// It was polled.
    Polled(usize),
    /// It has given its output.
    Gave(usize),
    /// It was dropped.
    Dropped(usize),
    /// Its output was dropped.
    OutputDropped(usize),
    /// The gather has given its result.
    Ended,
}

/// What a child gives: it knows whose output it is.
#[derive(Debug)]
pub struct Output {
    /// The index of the child.
    pub index: usize,
    is_bomb: bool,
    log: Log<Event>,
}

/// The children's outputs.
pub type Outcome = Result<Output, Output>;
/// Which children gave an output that the gather gives in the end, and whether it was an `Ok`.
pub type Given = Vec<(usize, bool)>;
/// A gather in some mode.
pub type Running = Pin<Box<dyn Future<Output = Given>>>;

/// The payload of the panics of children and destructors.
#[derive(Debug, PartialEq, Eq)]
pub enum Bang {
    /// The child with that index panicked.
    Child(usize),
    /// Its destructor did.
    Drop(usize),
    /// The destructor of its output did.
    OutputDrop(usize),
    /// The input did when it was asked for the child with that index.
    Input(usize),
}

impl Drop for Output {
    fn drop(&mut self) {
        self.log.note(Event::OutputDropped(self.index));
        if self.is_bomb {
            panic_any(Bang::OutputDrop(self.index));
        }
    }
}

/// What a child does when it finishes.
enum Act {
    Give(bool),
    Panic,
}

/// Some children, which do what a test says, and a log of what is done to them.
pub struct Brood {
    controls: Vec<Control<Act>>,
    children: RefCell<Vec<Child<Act>>>,
    /// Which children panic when they are dropped.
    pub bombs: Vec<usize>,
    /// Which children's outputs do.
    pub output_bombs: Vec<usize>,
    /// Which children wake themselves in their first poll.
    pub restless: Vec<usize>,
    /// What was done.
    pub log: Log<Event>,
    seen: RefCell<Vec<Event>>,
}

impl Brood {
    /// So many, to be gathered once.
    pub fn new(count: usize) -> Brood {
        let (controls, mut children) = children(count);
        children.reverse();
        let (children, seen) = (RefCell::new(children), RefCell::default());
        let (bombs, output_bombs, restless) = (vec![], vec![], vec![]);
        Brood { controls, children, bombs, output_bombs, restless, log: Log::new(), seen }
    }

    /// The children. Each is made when it is pulled.
    pub fn input(&self) -> impl Iterator<Item = Kid> + use<> {
        let (log, mut children) = (self.log.clone(), self.children.take());
        let (bombs, output_bombs, restless) =
            (self.bombs.clone(), self.output_bombs.clone(), self.restless.clone());
        (0..self.controls.len()).map(move |index| {
            log.note(Event::Pulled(index));
            let child = children.pop().expect("there is one for each");
            let (is_bomb, output_is_bomb) = (bombs.contains(&index), output_bombs.contains(&index));
            let is_restless = restless.contains(&index);
            Kid { index, child, is_bomb, output_is_bomb, is_restless, log: log.clone() }
        })
    }

    /// Lets a child give an `Ok` or an `Err` at its next poll, and wakes it.
    pub fn finish(&self, index: usize, is_ok: bool) {
        self.controls[index].finish(Act::Give(is_ok));
    }

    /// As [`finish`](Brood::finish), without the wake.
    pub fn prepare(&self, index: usize, is_ok: bool) {
        self.controls[index].prepare(Act::Give(is_ok));
    }

    /// Lets a child panic at its next poll, and wakes it.
    pub fn panic(&self, index: usize) {
        self.controls[index].finish(Act::Panic);
    }

    /// Wakes a child.
    pub fn wake(&self, index: usize) {
        self.controls[index].wake();
    }

    /// The waker that a child was last polled with.
    pub fn waker(&self, index: usize) -> Waker {
        self.controls[index].waker()
    }

    /// What was done since the last time that this was asked.
    pub fn events(&self) -> Vec<Event> {
        let events = self.log.take();
        self.seen.borrow_mut().extend(&events);
        events
    }

    /// Which children were polled since the last time that events were asked for, in order.
    pub fn polled(&self) -> Vec<usize> {
        let polled = |event| if let Event::Polled(index) = event { Some(index) } else { None };
        self.events().into_iter().filter_map(polled).collect()
    }

    /// All that was ever done.
    pub fn history(&self) -> Vec<Event> {
        self.events();
        self.seen.borrow().clone()
    }

    /// How often this has happened.
    pub fn count(&self, event: Event) -> usize {
        self.history().iter().filter(|seen| **seen == event).count()
    }

    /// How many children were pulled, and how many of them are there.
    pub fn pulled_and_alive(&self) -> (usize, usize) {
        let history = self.history();
        let pulled = history.iter().filter(|event| matches!(event, Event::Pulled(_))).count();
        let dropped = history.iter().filter(|event| matches!(event, Event::Dropped(_))).count();
        (pulled, pulled - dropped)
    }

    /// Fails unless every child that was pulled was dropped, and every output that was given; each
    /// once, no child was polled after it had given its output or was dropped, and its index was
    /// the next one.
    #[track_caller]
    pub fn check_all_gone(&self, case: &str) {
        let history = self.history();
        let (mut pulled, mut gave) = (vec![], vec![]);
        let (mut dropped, mut outputs_dropped) = (vec![], vec![]);
        let mut is_over = vec![false; self.controls.len()];
        for event in &history {
            match *event {
                Event::Pulled(index) => pulled.push(index),
                Event::Polled(index) => assert!(!is_over[index], "{case}: {event:?}"),
                Event::Gave(index) => {
                    is_over[index] = true;
                    gave.push(index);
                }
                Event::Dropped(index) => {
                    is_over[index] = true;
                    dropped.push(index);
                }
                Event::OutputDropped(index) => outputs_dropped.push(index),
                Event::Ended => {}
            }
        }
        assert_eq!(pulled, (0..pulled.len()).collect::<Vec<_>>(), "{case}: pulled");
        [&mut gave, &mut dropped, &mut outputs_dropped].into_iter().for_each(|all| all.sort_unstable());
        assert_eq!(dropped, pulled, "{case}: every child is dropped once");
        assert_eq!(outputs_dropped, gave, "{case}: every output is dropped once");
    }

    /// Fails unless every child that was pulled was dropped before the gather gave its result.
    #[track_caller]
    pub fn check_gone_before_the_end(&self, case: &str) {
        let history = self.history();
        let end = history.iter().position(|event| *event == Event::Ended).expect("it has ended");
        let count =
            |events: &[Event], is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let pulled = count(&history, |event| matches!(event, Event::Pulled(_)));
        let dropped = count(&history[..end], |event| matches!(event, Event::Dropped(_)));
        assert_eq!(dropped, pulled, "{case}: dropped before the result was seen, of those that were started");
    }
}

/// A child of a [`Brood`].
pub struct Kid {
    index: usize,
    child: Child<Act>,
    is_bomb: bool,
    output_is_bomb: bool,
    /// It has to wake itself in the next poll.
    is_restless: bool,
    log: Log<Event>,
}

impl Future for Kid {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.log.note(Event::Polled(self.index));
        if std::mem::take(&mut self.is_restless) {
            cx.waker().wake_by_ref();
        }
        let act = ready!(Pin::new(&mut self.child).poll(cx));
        let is_ok = match act {
            Act::Give(is_ok) => is_ok,
            Act::Panic => panic_any(Bang::Child(self.index)),
        };
        self.log.note(Event::Gave(self.index));
        let output = Output { index: self.index, is_bomb: self.output_is_bomb, log: self.log.clone() };
        Poll::Ready(if is_ok { Ok(output) } else { Err(output) })
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        self.log.note(Event::Dropped(self.index));
        if self.is_bomb {
            panic_any(Bang::Drop(self.index));
        }
    }
}

/// A way to gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `gather(..)`
    Plain,
    /// `.capture()`
    Capture,
    /// `.capture().within(..)`, of a time that does not end.
    Within,
    /// `.detailed()`
    Detailed,
    /// `.first_ok()`
    FirstOk,
    /// `.first_ok_n(1)`
    FirstOkN,
    /// `.race()`
    Race,
    /// `.policy(..)`: one that does as a plain gather.
    Policy,
    /// `.stream()`, to its end.
    Stream,
    /// `.for_each(..)`, with a body that is ready at once.
    ForEach,
    /// `gather!(..)`, of [`FIVE`].
    Macro,
    /// `gather!(capture; ..)`, of [`FIVE`].
    MacroCapture,
    /// `scope(..)`, whose body spawns the children and then awaits each.
    Scope,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 13] = [
        Mode::Plain,
        Mode::Capture,
        Mode::Within,
        Mode::Detailed,
        Mode::FirstOk,
        Mode::FirstOkN,
        Mode::Race,
        Mode::Policy,
        Mode::Stream,
        Mode::ForEach,
        Mode::Macro,
        Mode::MacroCapture,
        Mode::Scope,
    ];

    /// Whether it ends with such an output, though others are to come.
    pub fn is_ended_by(self, is_ok: bool) -> bool {
        match self {
            Mode::Plain | Mode::Detailed | Mode::Policy | Mode::Macro | Mode::Scope => !is_ok,
            Mode::FirstOk | Mode::FirstOkN => is_ok,
            Mode::Race => true,
            _ => false,
        }
    }

    /// The outputs that end it.
    pub fn enders(self) -> impl Iterator<Item = bool> {
        [true, false].into_iter().filter(move |is_ok| self.is_ended_by(*is_ok))
    }

    /// An output with which it goes on, if there is one: where both do, this depends on the index.
    pub fn passes(self, index: usize) -> bool {
        if self.keeps_all() { index % 2 == 0 } else { !self.is_ended_by(true) }
    }

    /// Whether it gives every output, and no output ends it.
    pub fn keeps_all(self) -> bool {
        matches!(self, Mode::Capture | Mode::Within | Mode::Stream | Mode::ForEach | Mode::MacroCapture)
    }

    /// Whether it gives outputs in the order in which they came.
    pub fn gives_as_they_come(self) -> bool {
        matches!(self, Mode::Stream | Mode::ForEach)
    }

    /// Whether it can have a limit; and if so, it pulls children from an input.
    pub fn takes_a_limit(self) -> bool {
        !matches!(self, Mode::Macro | Mode::MacroCapture | Mode::Scope)
    }

    /// Whether it can have so many children.
    pub fn takes(self, count: usize) -> bool {
        count == FIVE || !matches!(self, Mode::Macro | Mode::MacroCapture)
    }

    /// Gathers the children of a brood, with at most so many at once if it takes a limit.
    pub fn gather(self, brood: &Brood, limit: usize) -> Running {
        self.gather_from(brood.input(), limit, &brood.log)
    }

    /// As [`gather`](Mode::gather), from another input.
    pub fn gather_from(
        self,
        input: impl Iterator<Item = Kid> + 'static,
        limit: usize,
        log: &Log<Event>,
    ) -> Running {
        let all = move |input| gather(input).limit(limit);
        match self {
            Mode::Plain => hold(all(input), log, in_places_or_error),
            Mode::Capture => hold(all(input).capture(), log, in_places),
            Mode::Within => hold(all(input).capture().within(HOUR), log, |outcomes| {
                in_places(outcomes.into_iter().map(|outcome| outcome.expect("an hour has not passed")))
            }),
            Mode::Detailed => hold(all(input).detailed(), log, |result| match result {
                Ok(outputs) => in_places(outputs.into_iter().map(Ok)),
                Err(failure) => {
                    let places = failure.finished.iter().enumerate();
                    let mut finished = places.filter_map(|(place, output)| Some((place, output.as_ref()?)));
                    assert!(finished.all(|(place, output)| place == output.index));
                    vec![with_index((failure.index, Err(failure.error)))]
                }
            }),
            Mode::FirstOk => hold(all(input).first_ok(), log, |result| match result {
                Ok((index, output)) => vec![with_index((index, Ok(output)))],
                Err(error) => errors(error),
            }),
            Mode::FirstOkN => hold(all(input).first_ok_n(1), log, |result| match result {
                Ok(outputs) => outputs.into_iter().map(|(index, ok)| with_index((index, Ok(ok)))).collect(),
                Err(error) => errors(error),
            }),
            Mode::Race => hold(all(input).race(), log, |first| vec![with_index(first)]),
            Mode::Policy => hold(all(input).policy(Own), log, in_places_or_error),
            Mode::Stream => {
                let (stream, given, log) = (all(input).stream(), vec![], log.clone());
                Box::pin(Collect { stream, given, log })
            }
            Mode::ForEach => {
                let given = Rc::new(RefCell::new(vec![]));
                let sink = given.clone();
                let body = async move |index, outcome| sink.borrow_mut().push(with_index((index, outcome)));
                hold(all(input).for_each(body), log, move |()| given.take())
            }
            Mode::Macro => {
                let [a, b, c, d, e] = five(input);
                let outputs = |(a, b, c, d, e)| vec![a, b, c, d, e];
                hold(gather!(a, b, c, d, e), log, move |result| in_places_or_error(result.map(outputs)))
            }
            Mode::MacroCapture => {
                let [a, b, c, d, e] = five(input);
                hold(gather!(capture; a, b, c, d, e), log, |(a, b, c, d, e)| in_places([a, b, c, d, e]))
            }
            Mode::Scope => {
                let all = scope(async |s| {
                    let (mut handles, mut outputs) = (vec![], vec![]);
                    input.for_each(|kid| handles.push(s.spawn(kid)));
                    for handle in handles {
                        outputs.push(handle.await.expect("nobody cancels it"));
                    }
                    Ok(outputs)
                });
                hold(all, log, in_places_or_error)
            }
        }
    }
}

fn five(input: impl Iterator<Item = Kid>) -> [Kid; FIVE] {
    let mut kids = vec![];
    input.for_each(|kid| kids.push(kid)); // not `collect`, which believes what the input says of itself
    kids.try_into().ok().expect("the macros are called with five")
}

/// Checks that an output stands with the index of its child.
fn with_index((index, outcome): (usize, Outcome)) -> (usize, bool) {
    let is_ok = outcome.is_ok();
    let output = outcome.unwrap_or_else(|error| error);
    assert_eq!(index, output.index, "this is the output of another child");
    (index, is_ok)
}

fn in_places(outcomes: impl IntoIterator<Item = Outcome>) -> Given {
    outcomes.into_iter().enumerate().map(with_index).collect()
}

fn in_places_or_error(result: Result<Vec<Output>, Output>) -> Given {
    match result {
        Ok(outputs) => in_places(outputs.into_iter().map(Ok)),
        Err(error) => vec![(error.index, false)],
    }
}

fn errors(error: gather::GatherError<Output>) -> Given {
    error.into_failures().into_iter().map(|(index, error)| with_index((index, Err(error)))).collect()
}

/// A gather that is kept after it has given its result, which is then made uniform.
pub fn hold<G: Future + 'static>(
    gather: G,
    log: &Log<Event>,
    uniform: impl Fn(G::Output) -> Given + 'static,
) -> Running {
    struct Held<G, U>(Pin<Box<G>>, Log<Event>, U);
    impl<G, U> Unpin for Held<G, U> {}
    impl<G: Future, U: Fn(G::Output) -> Given> Future for Held<G, U> {
        type Output = Given;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Given> {
            let output = ready!(self.0.as_mut().poll(cx));
            self.1.note(Event::Ended);
            Poll::Ready((self.2)(output))
        }
    }
    Box::pin(Held(Box::pin(gather), log.clone(), uniform))
}

/// A stream that is polled until it has no more.
struct Collect<I> {
    stream: GatherStream<Siblings<I, Kid, Outcome>>,
    given: Given,
    log: Log<Event>,
}

impl<I> Unpin for Collect<I> {}

impl<I: Iterator<Item = Kid>> Future for Collect<I> {
    type Output = Given;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Given> {
        loop {
            let next = pin!(self.stream.next()).poll(cx);
            match ready!(next) {
                Some(output) => self.given.push(with_index(output)),
                None => {
                    self.log.note(Event::Ended);
                    return Poll::Ready(std::mem::take(&mut self.given));
                }
            }
        }
    }
}

/// A user's own policy, which does as a plain gather.
struct Own;

impl<T, E> Policy<Result<T, E>> for Own {
    type Output = Result<Vec<T>, E>;

    fn judge(
        &mut self,
        index: usize,
        output: Result<T, E>,
        kept: &mut Kept<Result<T, E>>,
    ) -> ControlFlow<Self::Output> {
        match output {
            Err(error) => ControlFlow::Break(Err(error)),
            Ok(_) => {
                kept.keep(index, output);
                ControlFlow::Continue(())
            }
        }
    }

    fn finish(&mut self, kept: Kept<Result<T, E>>) -> Self::Output {
        kept.into_vec().into_iter().collect()
    }
}
