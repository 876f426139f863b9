//! The children of a scope: where its poll, and everybody who cancels, finds them by number.
//!
//! ```text
//!   new  │ 5 │ 6 │       spawned, and not yet taken by the engine
//!   rows │ body │ lent │ future │ over │ future │ future │ future │        free │ 3 │ …
//! ```
//!
//! The engine has a [`Child`] for each, which is no more than the number. For a poll the future is lent: it is out of its
//! row, so that the table is not borrowed while it runs and may do anything. A cancelled child is gone from its row at once;
//! the engine learns of it by a wake, and the row is free when the engine has dropped the `Child`.
//!
//! Futures that are cancelled are dropped one after the other, in a loop: destructors may cancel others, and spawn, and that
//! costs no stack.
//!
//! Next: [`task`](super::task), the handle.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::panics::FirstPanic;

/// A child whose type is forgotten.
pub(super) type AnyChild<'scope, E> = Pin<Box<dyn Future<Output = Result<(), E>> + 'scope>>;

/// The row of the body. It is the first that is added.
const BODY: u32 = 0;

/// A destructor that spawns into a scope that is ending a future with the same destructor would go on for ever. After so many
/// it is stopped, and what is left is leaked, as in the runtime.
const MOST_IN_A_ROW: usize = 1 << 24;

/// The children of a scope.
pub(super) struct Table<'scope, E> {
    state: RefCell<State<'scope, E>>,
}

struct State<'scope, E> {
    rows: Vec<Row<'scope, E>>,
    /// The rows that the next children get, the last first.
    free: Vec<u32>,
    /// The children that the engine does not know yet.
    new: VecDeque<u32>,
    /// How many children have not ended.
    alive: usize,
    /// The names of those that have one.
    names: BTreeMap<u32, Rc<str>>,
    /// What is to be dropped.
    discarded: VecDeque<AnyChild<'scope, E>>,
    /// Whether somebody is dropping it.
    is_discarding: bool,
    /// No more children are taken.
    is_over: bool,
}

/// A place for a child.
struct Row<'scope, E> {
    /// The child. `None` while it is lent, when it was cancelled, and in a free row.
    future: Option<AnyChild<'scope, E>>,
    /// What it was last polled with: the engine's, one of the runtime's own, so that nobody's code runs when it is cloned or
    /// dropped.
    waker: Option<Waker>,
    /// Whether it is being polled.
    is_lent: bool,
    /// Whether it was cancelled while it was polled.
    is_cancelled: bool,
}

impl<'scope, E> Row<'scope, E> {
    const FREE: Self = Row { future: None, waker: None, is_lent: false, is_cancelled: false };
}

impl<'scope, E> State<'scope, E> {
    const fn new() -> Self {
        State {
            rows: Vec::new(),
            free: Vec::new(),
            new: VecDeque::new(),
            alive: 0,
            names: BTreeMap::new(),
            discarded: VecDeque::new(),
            is_discarding: false,
            is_over: false,
        }
    }

    /// Takes a child out that is there and is not being polled.
    fn take(&mut self, number: u32) -> Option<AnyChild<'scope, E>> {
        let future = self.rows.get_mut(number as usize)?.future.take()?;
        self.alive -= usize::from(number != BODY);
        Some(future)
    }

    /// Cancels a child, and gives the waker with which the engine is to be told.
    fn cancel(&mut self, number: u32) -> Option<Waker> {
        let future = self.take(number);
        let row = self.rows.get_mut(number as usize)?;
        row.is_cancelled |= row.is_lent;
        self.discarded.push_back(future?);
        row.waker.take()
    }
}

impl<'scope, E> Table<'scope, E> {
    pub(super) const fn new() -> Self {
        Table { state: RefCell::new(State::new()) }
    }

    /// Adds a child, and gives its number; or, in a scope that is over, drops it.
    pub(super) fn add(&self, future: AnyChild<'scope, E>) -> Option<u32> {
        let mut state = self.state.borrow_mut();
        if state.is_over {
            state.discarded.push_back(future);
            drop(state);
            self.drop_discarded().resume();
            return None;
        }
        let number = state.free.pop().unwrap_or_else(|| {
            state.rows.push(Row::FREE);
            u32::try_from(state.rows.len() - 1).expect("gather: too many children in one scope")
        });
        state.rows[number as usize].future = Some(future);
        state.alive += usize::from(number != BODY);
        state.new.push_back(number);
        Some(number)
    }

    pub(super) fn set_name(&self, number: u32, name: Rc<str>) {
        self.state.borrow_mut().names.insert(number, name);
    }

    /// The names of the children that have not ended.
    pub(super) fn names(&self) -> Vec<Rc<str>> {
        self.state.borrow().names.values().cloned().collect()
    }

    /// How many children have not ended, without the body.
    pub(super) fn len(&self) -> usize {
        self.state.borrow().alive
    }

    /// The input of the engine: children as they come.
    pub(super) fn new_children(&'scope self) -> NewChildren<'scope, E> {
        NewChildren(self)
    }

    /// Takes a child out to be polled; `None` if it was cancelled.
    fn lend(&'scope self, number: u32, waker: &Waker) -> Option<Lent<'scope, E>> {
        let mut state = self.state.borrow_mut();
        let row = state.rows.get_mut(number as usize)?;
        let future = row.future.take()?;
        row.is_lent = true;
        match &mut row.waker {
            Some(known) => known.clone_from(waker),
            None => row.waker = Some(waker.clone()),
        }
        Some(Lent { table: self, number, future: Some(future) })
    }

    /// Puts a child back that was polled, and says whether it was cancelled meanwhile.
    fn put_back(&self, number: u32, future: AnyChild<'scope, E>) -> bool {
        let row = &mut self.state.borrow_mut().rows[number as usize];
        row.future = Some(future);
        row.is_lent = false;
        row.is_cancelled
    }

    /// The engine has dropped its part: so the child is dropped, if it is still there, and the row is free.
    fn remove(&self, number: u32) {
        let mut state = self.state.borrow_mut();
        let future = state.take(number);
        if let Some(row) = state.rows.get_mut(number as usize) {
            *row = Row::FREE;
            if number != BODY {
                state.free.push(number);
            }
            state.names.remove(&number);
        }
        drop(state);
        drop(future);
    }

    /// Cancels all children but the body.
    pub(super) fn cancel_all(&self) {
        let mut state = self.state.borrow_mut();
        let count = state.rows.len() as u32;
        let wakers: Vec<Waker> = (BODY + 1..count).filter_map(|number| state.cancel(number)).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.drop_discarded().resume();
    }

    /// Drops every child, and takes no more.
    pub(super) fn end(&self) -> FirstPanic {
        let mut state = self.state.borrow_mut();
        state.is_over = true;
        let futures = mem::take(&mut state.rows).into_iter().filter_map(|row| row.future);
        state.discarded.extend(futures);
        state.alive = 0;
        drop(state);
        let panics = self.drop_discarded();
        // Nothing runs the table's own destructor, so its memory is given back here.
        self.state.replace(State { is_over: true, ..State::new() });
        panics
    }

    /// Drops what was discarded, unless somebody down the stack is doing that.
    fn drop_discarded(&self) -> FirstPanic {
        let mut panics = FirstPanic::default();
        let mut state = self.state.borrow_mut();
        if mem::replace(&mut state.is_discarding, true) {
            return panics;
        }
        let most = state.discarded.len().saturating_add(MOST_IN_A_ROW);
        drop(state);
        for _ in 0..most {
            let next = self.state.borrow_mut().discarded.pop_front(); // the borrow ends before it is dropped
            match next {
                Some(future) => panics.catch(|| drop(future)),
                None => break,
            }
        }
        let mut state = self.state.borrow_mut();
        if !state.discarded.is_empty() {
            mem::forget(mem::take(&mut state.discarded));
        }
        state.is_discarding = false;
        panics
    }
}

/// What can cancel a child: the table, for the handles, which do not know the type of the error.
pub(super) trait Cancel {
    /// Cancels the child that has this number.
    fn cancel(&self, number: u32);
}

impl<E> Cancel for Table<'_, E> {
    fn cancel(&self, number: u32) {
        let waker = self.state.borrow_mut().cancel(number);
        waker.into_iter().for_each(Waker::wake);
        self.drop_discarded().resume();
    }
}

/// Children as they come: there may be one although there was none before.
pub(super) struct NewChildren<'scope, E>(&'scope Table<'scope, E>);

impl<'scope, E> Iterator for NewChildren<'scope, E> {
    type Item = Child<'scope, E>;

    fn next(&mut self) -> Option<Child<'scope, E>> {
        let number = self.0.state.borrow_mut().new.pop_front()?;
        Some(Child { table: self.0, number })
    }
}

/// What the engine has of a child.
pub(super) struct Child<'scope, E> {
    table: &'scope Table<'scope, E>,
    number: u32,
}

impl<E> Future for Child<'_, E> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let Some(mut lent) = self.table.lend(self.number, cx.waker()) else { return Poll::Ready(Ok(())) };
        let poll = lent.poll(cx);
        match lent.give_back() {
            true if poll.is_pending() => Poll::Ready(Ok(())),
            _ => poll,
        }
    }
}

impl<E> Drop for Child<'_, E> {
    fn drop(&mut self) {
        self.table.remove(self.number);
    }
}

/// A future that is being polled. If it panics it goes back too, to be dropped with all others.
struct Lent<'scope, E> {
    table: &'scope Table<'scope, E>,
    number: u32,
    future: Option<AnyChild<'scope, E>>,
}

impl<E> Lent<'_, E> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let future = self.future.as_mut().expect("it was not given back");
        future.as_mut().poll(cx)
    }

    fn give_back(&mut self) -> bool {
        self.future.take().is_some_and(|future| self.table.put_back(self.number, future))
    }
}

impl<E> Drop for Lent<'_, E> {
    fn drop(&mut self) {
        self.give_back();
    }
}
