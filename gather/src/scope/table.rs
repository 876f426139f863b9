//! The children of a scope, as the engine and the scope find them.
//!
//! Children that are cancelled are dropped one after the other, in a loop. Their destructors may
//! cancel others and spawn, and that costs no stack.
//!
//! Next: [`child`](super::child).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::iter::from_fn;
use std::mem::{forget, replace, take};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::child::AnyChild;
use crate::panics::drop_all;

/// A destructor that spawns into an ending scope a future with the same destructor would go on for
/// ever. After this many it is stopped, and what is left is leaked, as in the runtime.
const MOST_IN_A_ROW: usize = 1 << 24;

/// A child, as the table and the engine share it.
pub(super) type Shared<'scope, E> = Rc<dyn AnyChild<E> + 'scope>;

/// The children of a scope.
pub(super) struct Table<'scope, E>(RefCell<State<'scope, E>>);

struct State<'scope, E> {
    /// The children that have not ended, by their keys, without the body.
    children: Vec<Option<Shared<'scope, E>>>,
    /// The keys that the next children get, the last first.
    free: Vec<usize>,
    /// The children that the engine does not know yet.
    new: VecDeque<Shared<'scope, E>>,
    /// The children that are to be dropped.
    discarded: VecDeque<Shared<'scope, E>>,
    /// Whether a caller is dropping them.
    is_discarding: bool,
    /// No more children are taken.
    is_over: bool,
}

impl<'scope, E> State<'scope, E> {
    fn new(is_over: bool) -> Self {
        let (new, discarded) = (VecDeque::new(), VecDeque::new());
        State { children: Vec::new(), free: Vec::new(), new, discarded, is_discarding: false, is_over }
    }
}

impl<'scope, E> Table<'scope, E> {
    pub(super) fn new() -> Self {
        Table(RefCell::new(State::new(false)))
    }

    /// Adds the first child, which is not counted.
    pub(super) fn add_body(&self, body: Shared<'scope, E>) {
        self.0.borrow_mut().new.push_back(body);
    }

    /// Adds a child, and returns its key; `None` if the scope is over.
    pub(super) fn add(&self, child: Shared<'scope, E>) -> Option<usize> {
        let mut state = self.0.borrow_mut();
        if state.is_over {
            return None;
        }
        state.new.push_back(child.clone());
        let key = state.free.pop().unwrap_or(state.children.len());
        match state.children.get_mut(key) {
            Some(place) => *place = Some(child),
            None => state.children.push(Some(child)),
        }
        Some(key)
    }

    /// Takes a child out.
    pub(super) fn remove(&self, key: usize) -> Option<Shared<'scope, E>> {
        let mut state = self.0.borrow_mut();
        let child = state.children.get_mut(key)?.take()?;
        state.free.push(key);
        Some(child)
    }

    pub(super) fn len(&self) -> usize {
        let state = self.0.borrow();
        state.children.len() - state.free.len()
    }

    pub(super) fn all(&self) -> Vec<Shared<'scope, E>> {
        self.0.borrow().children.iter().flatten().cloned().collect()
    }

    /// Drops a child; or, if a caller is dropping one, leaves it to that.
    pub(super) fn discard(&self, child: Shared<'scope, E>) {
        let mut state = self.0.borrow_mut();
        state.discarded.push_back(child);
        if replace(&mut state.is_discarding, true) {
            return;
        }
        drop(state);
        let mut left = MOST_IN_A_ROW;
        let next = || {
            let mut state = self.0.borrow_mut();
            match left {
                0 => forget(take(&mut state.discarded)),
                _ => left -= 1,
            }
            let next = state.discarded.pop_front();
            state.is_discarding = next.is_some();
            next
        };
        drop_all(from_fn(next).map(|child| child.end()));
    }

    /// Takes no more children, and counts none. The engine ends those that there are.
    pub(super) fn close(&self) {
        let mut state = self.0.borrow_mut();
        state.is_over = true;
        let children = (take(&mut state.children), take(&mut state.free));
        drop(state);
        drop(children);
    }

    /// Gives the memory back, because nothing runs the destructor of a scope. Call it when all
    /// children have ended.
    pub(super) fn free(&self) {
        self.0.replace(State::new(true));
    }
}

/// The input of the engine: children as they come. There may be one although there was none
/// before.
pub(super) struct NewChildren<'scope, E>(pub(super) &'scope Table<'scope, E>);

impl<'scope, E> Iterator for NewChildren<'scope, E> {
    type Item = Polled<'scope, E>;

    fn next(&mut self) -> Option<Polled<'scope, E>> {
        self.0.0.borrow_mut().new.pop_front().map(Polled)
    }
}

impl<E> Drop for NewChildren<'_, E> {
    fn drop(&mut self) {
        drop_all(self);
    }
}

/// What the engine has of a child. It ends the child.
pub(super) struct Polled<'scope, E>(Shared<'scope, E>);

impl<E> Future for Polled<'_, E> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.0.poll(cx)
    }
}

impl<E> Drop for Polled<'_, E> {
    fn drop(&mut self) {
        self.0.end();
    }
}
