//! The gathers of a program: each mode as it is called, and what it gives as text.
//!
//! Next: [`model`](crate::model).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use gather::{Failure, GatherError, Kept, Policy, gather, scope, sleep};

use super::real::{Child, Output, Token, World, bang};
use super::trace::{Bang, Event};
use super::{Gathering, Mode};

/// The children of a gather, made when they are asked for.
struct Input {
    node: usize,
    world: Rc<World>,
    next: usize,
}

impl Iterator for Input {
    type Item = Child;

    fn next(&mut self) -> Option<Child> {
        let Gathering { children, input_panics_at, .. } = self.world.program.gathering(self.node);
        let index = self.next;
        self.next += 1;
        self.world.note(Event::Pull(self.node, index));
        if *input_panics_at == Some(index) {
            bang(Bang::Input(self.node));
        }
        Some(self.world.child(*children.get(index)?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let Gathering { children, hint, .. } = self.world.program.gathering(self.node);
        hint.of(children.len())
    }
}

/// A policy of one's own: over when so many outputs have come. It gives their indices in the order
/// in which they came, and all outputs.
#[derive(Debug)]
struct Until {
    needed: usize,
    came: Vec<usize>,
}

impl<O> Policy<O> for Until {
    type Output = (Vec<usize>, Vec<Option<O>>);

    fn judge(&mut self, index: usize, output: O, kept: &mut Kept<O>) -> ControlFlow<Self::Output> {
        kept.keep(index, output);
        self.came.push(index);
        if self.came.len() < self.needed {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(self.finish(kept.take()))
    }

    fn finish(&mut self, kept: Kept<O>) -> Self::Output {
        (std::mem::take(&mut self.came), kept.into_options())
    }
}

/// The gather of a node, which gives one output: what the mode gives, as text.
pub(super) fn make(
    world: &Rc<World>,
    node: usize,
    gathering: &Gathering,
) -> Pin<Box<dyn Future<Output = Output>>> {
    let world = world.clone();
    match gathering.mode {
        Mode::Scope => {
            return Box::pin(told(world.clone(), node, run_scope(world, node), |result| {
                result.map(text).map_err(text)
            }));
        }
        mode if mode.is_list() => return make_list(world, node, gathering),
        _ => {}
    }
    let input = Input { node, world: world.clone(), next: 0 };
    let plain = match gathering.limit {
        Some(limit) => gather(input).limit(limit),
        None => gather(input),
    };
    match gathering.mode {
        Mode::FailFast => {
            Box::pin(told(world, node, plain, |result| result.map(|all| texts(&all)).map_err(text)))
        }
        Mode::Capture => Box::pin(told(world, node, plain.capture(), |all| Ok(results(&all)))),
        Mode::Within(nanoseconds) => {
            let within = plain.capture().within(Duration::from_nanos(nanoseconds));
            Box::pin(told(world, node, within, |all| Ok(options(&all))))
        }
        Mode::Detailed => Box::pin(told(world, node, plain.detailed(), |result| match result {
            Ok(all) => Ok(texts(&all)),
            Err(Failure { index, error, finished }) => {
                let finished: Vec<_> = finished.into_iter().map(|token| token.map(Ok)).collect();
                Err(format!("#{index} {} {}", error.text, options(&finished)))
            }
        })),
        Mode::FirstOk => Box::pin(told(world, node, plain.first_ok(), |result| match result {
            Ok((index, token)) => Ok(format!("#{index} {}", token.text)),
            Err(error) => Err(failures(&error)),
        })),
        Mode::FirstOkN(needed) => {
            Box::pin(told(world, node, plain.first_ok_n(needed), |result| match result {
                Ok(all) => Ok(all.iter().map(|(index, token)| format!("#{index} {} ", token.text)).collect()),
                Err(error) => Err(failures(&error)),
            }))
        }
        Mode::Race => Box::pin(told(world, node, plain.race(), |(index, result)| match result {
            Ok(token) => Ok(format!("#{index} {}", token.text)),
            Err(token) => Err(format!("#{index} {}", token.text)),
        })),
        Mode::Until(needed) => {
            let until = plain.policy(Until { needed, came: Vec::new() });
            Box::pin(told(world, node, until, |(came, all)| Ok(format!("{came:?} {}", options(&all)))))
        }
        Mode::Stream => {
            let (mut stream, streams_world) = (plain.stream(), world.clone());
            let all = async move {
                let mut came = Vec::new();
                while let Some((index, output)) = watched(&streams_world, node, pin!(stream.next())).await {
                    came.push(format!("#{index} {}", result(&output)));
                }
                came.join(" ")
            };
            Box::pin(told(world, node, all, Ok))
        }
        Mode::ForEach(nanoseconds) => {
            let came = Rc::new(RefCell::new(Vec::new()));
            let (bodys_world, seen) = (world.clone(), came.clone());
            let all = plain.for_each(async move |index, output| {
                bodys_world.note(Event::Body(node, index));
                sleep(Duration::from_nanos(nanoseconds)).await;
                seen.borrow_mut().push(format!("#{index} {}", result(&output)));
            });
            Box::pin(told(world, node, all, move |()| Ok(came.borrow().join(" "))))
        }
        Mode::Scope | Mode::List | Mode::ListCapture => unreachable!("they have no input"),
    }
}

/// `gather!`, of one to four.
fn make_list(world: Rc<World>, node: usize, gathering: &Gathering) -> Pin<Box<dyn Future<Output = Output>>> {
    let mut children =
        gathering.children.iter().map(|child| world.child(*child)).collect::<Vec<_>>().into_iter();
    let count = children.len();
    let mut next = || children.next().expect("there are as many as were counted");
    let world = world.clone();
    /// The same for both modes and each number.
    macro_rules! list {
        ($describe:ident, ($($mode:tt)*); $($name:ident)*) => {{
            $(let $name = next();)*
            Box::pin(told(world, node, gather!($($mode)* $($name),*), |output| $describe!(output; $($name)*)))
        }};
    }
    macro_rules! fail_fast {
        ($output:ident; $($name:ident)*) => { $output.map(|($($name,)*)| texts(&[$($name),*])).map_err(text) };
    }
    macro_rules! capture {
        ($output:ident; $($name:ident)*) => {{ let ($($name,)*) = $output; Ok(results(&[$($name),*])) }};
    }
    match (gathering.mode, count) {
        (Mode::List, 1) => list!(fail_fast, (); a),
        (Mode::List, 2) => list!(fail_fast, (); a b),
        (Mode::List, 3) => list!(fail_fast, (); a b c),
        (Mode::List, _) => list!(fail_fast, (); a b c d),
        (_, 1) => list!(capture, (capture;); a),
        (_, 2) => list!(capture, (capture;); a b),
        (_, 3) => list!(capture, (capture;); a b c),
        (_, _) => list!(capture, (capture;); a b c d),
    }
}

/// A scope: a body that spawns, awaits the first child, and spawns again.
async fn run_scope(world: Rc<World>, node: usize) -> Output {
    scope(async move |s| {
        let Gathering { children, .. } = world.program.gathering(node);
        let (body, others) = children.split_first().expect("it has a body");
        let (before, after) = others.split_at(others.len() / 2);
        let spawn_all = |children: &[usize]| {
            for child in children {
                drop(s.spawn(world.child(*child)));
            }
        };
        let body = world.child(*body);
        spawn_all(before);
        let output = body.await?;
        spawn_all(after);
        Ok(output)
    })
    .await
}

/// Awaits a gather. When a panic comes out of it, its children must be gone, though the gather is
/// not.
async fn watched<F: Future>(world: &Rc<World>, node: usize, mut gather: Pin<&mut F>) -> F::Output {
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| gather.as_mut().poll(cx))).unwrap_or_else(|panic| {
            world.check_gone(node);
            resume_unwind(panic)
        })
    })
    .await
}

/// Awaits a gather, and tells what it gave while the gather still exists: all its children must be
/// gone by then.
async fn told<G: Future>(
    world: Rc<World>,
    node: usize,
    gather: G,
    describe: impl FnOnce(G::Output) -> Result<String, String>,
) -> Output {
    let mut gather = pin!(gather);
    let output = watched(&world, node, gather.as_mut()).await;
    let result = describe(output);
    world.check_gone(node);
    world.note(Event::End(node, format!("{result:?}")));
    match result {
        Ok(text) => Ok(world.token(text)),
        Err(text) => Err(world.token(text)),
    }
}

pub(super) fn text(token: Token) -> String {
    token.text.clone()
}

fn texts(tokens: &[Token]) -> String {
    let texts: Vec<_> = tokens.iter().map(|token| format!("+{}", token.text)).collect();
    format!("[{}]", texts.join(" "))
}

fn result(result: &Output) -> String {
    match result {
        Ok(token) => format!("+{}", token.text),
        Err(token) => format!("-{}", token.text),
    }
}

fn results(all: &[Output]) -> String {
    format!("[{}]", all.iter().map(result).collect::<Vec<_>>().join(" "))
}

fn options(all: &[Option<Output>]) -> String {
    let texts: Vec<_> = all.iter().map(|option| option.as_ref().map_or(".".into(), result)).collect();
    format!("[{}]", texts.join(" "))
}

fn failures(error: &GatherError<Token>) -> String {
    let texts: Vec<_> =
        error.failures().iter().map(|(index, token)| format!("#{index} {}", token.text)).collect();
    format!("{} of {}: {}", texts.len(), error.total(), texts.join(" "))
}
