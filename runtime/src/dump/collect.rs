//! Reading the tree off the tables.
//!
//! First every group and task is put under the one whose waker it has, if that is still there, or
//! else under the root; then the tree is walked with a stack of its own, so its depth does not
//! matter. Tasks that are then left, because they await one another in a ring, follow at the root.
//!
//! Next: [`show`](super::show).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use super::{Dump, Node, NodeKind, State, Status};
use crate::agenda::Item;
use crate::group::{ChildFacts, GroupRow, Label};
use crate::id::{MAIN, Target, task_generation};
use crate::local::Local;
use crate::task::{Key, Row, Stage, TaskId};
use crate::waker;

/// How many children of a group, and tasks of one parent, are listed.
const MOST_LISTED: usize = 8;

/// Whom something waits for in the tables. (A child has its number, which is not its index.)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Root,
    Main,
    Task(u32),
    Child { group: u32, number: u32 },
}

/// What is still to be shown, at which depth.
enum Todo<'a> {
    Task(usize, Key, &'a Row),
    Group(usize, u32, &'a GroupRow),
    Child(usize, u32, ChildFacts),
    More(usize, usize),
}

/// What belongs to whom.
#[derive(Default)]
struct Tree<'a> {
    tasks: HashMap<Owner, Vec<(Key, &'a Row)>>,
    groups: HashMap<Owner, Vec<(u32, &'a GroupRow)>>,
    /// What is left when the tree has been walked, the last first; `None` before.
    lost: Option<Vec<(Owner, Key)>>,
}

/// Takes the dump of the runtime that has these tables. It may be taken in a poll: of a task,
/// which then runs, or else of the main future.
pub(crate) fn collect(local: &Local, in_poll: bool) -> Dump {
    local.tasks.borrow_mut().begin_walk();
    local.groups.borrow_mut().begin_walk();
    let (tasks, groups) = (local.tasks.borrow(), local.groups.borrow());
    local.clock.now();
    let now = local.clock.milliseconds();
    let idle = |since: u32| Duration::from_millis(now.wrapping_sub(since).into());
    let owner_of = |waker: Option<&Waker>| owner(local, waker);
    let mut tree = Tree::default();
    for (key, row) in tasks.rows() {
        tree.tasks.entry(owner_of(row.awaiter.as_ref())).or_default().push((key, row));
    }
    for (number, row) in groups.rows() {
        tree.groups.entry(owner_of(row.parent())).or_default().push((number, row));
    }

    let mut nodes = Vec::new();
    let (polls, polled_at) = local.main_polled();
    let is_running = in_poll && !tasks.rows().any(|(_, row)| state_of(row) == State::Running);
    let state = match local.agenda.has(Item::PollMain) {
        _ if is_running => State::Running,
        true => State::Ready,
        false => State::Waiting,
    };
    nodes.push(Node { depth: 0, kind: NodeKind::Main, state, idle: idle(polled_at), polls: Some(polls) });
    let mut todo = Vec::new();
    tree.push_of(Owner::Root, 0, &mut todo);
    tree.push_of(Owner::Main, 1, &mut todo);
    while let Some(next) = todo.pop().or_else(|| tree.next_lost()) {
        nodes.push(match next {
            Todo::Task(depth, key, row) => {
                tree.push_of(Owner::Task(key.row), depth + 1, &mut todo);
                let (name, spawned_at) = (tasks.name(key.row), row.spawned_at);
                let kind = NodeKind::Task { id: TaskId::new(local.id(), key), name, spawned_at };
                let (idle, polls) = (idle(row.polled_at), Some(row.polls.into()));
                Node { depth, kind, state: state_of(row), idle, polls }
            }
            Todo::Group(depth, number, row) => {
                let mut children: Vec<_> = row.queue.children().collect();
                let ready = children.iter().filter(|child| child.is_woken).count();
                let waiting = children.len() - ready;
                children.sort_by_key(|child| (Reverse(idle(child.polled_at)), child.index));
                let more = children.len().saturating_sub(MOST_LISTED);
                if more > 0 {
                    todo.push(Todo::More(depth + 1, more));
                }
                tree.hide(
                    children
                        .drain(children.len() - more..)
                        .map(|child| Owner::Child { group: number, number: child.number }),
                );
                todo.extend(children.into_iter().rev().map(|child| Todo::Child(depth + 1, number, child)));
                let Label { kind, name, place } = row.label.clone();
                let kind = NodeKind::Group { kind, name, made_at: place, waiting, ready, done: row.done };
                let state = if ready > 0 { State::Ready } else { State::Waiting };
                Node { depth, kind, state, idle: idle(row.polled_at), polls: Some(row.polls) }
            }
            Todo::Child(depth, group, child) => {
                tree.push_of(Owner::Child { group, number: child.number }, depth + 1, &mut todo);
                let state = if child.is_woken { State::Ready } else { State::Waiting };
                let kind = NodeKind::Child { index: child.index as usize };
                Node { depth, kind, state, idle: idle(child.polled_at), polls: None }
            }
            Todo::More(depth, count) => {
                let kind = NodeKind::More { count };
                Node { depth, kind, state: State::Waiting, idle: Duration::ZERO, polls: None }
            }
        });
    }
    drop((tasks, groups));
    Dump { status: Status::Taken, metrics: local.metrics(), nodes }
}

impl<'a> Tree<'a> {
    /// Takes away what is below those that are not listed.
    fn hide(&mut self, owners: impl Iterator<Item = Owner>) {
        let mut hidden: Vec<_> = owners.collect();
        while let Some(owner) = hidden.pop() {
            let tasks = self.tasks.remove(&owner).unwrap_or_default();
            hidden.extend(tasks.into_iter().map(|(key, _)| Owner::Task(key.row)));
            for (group, row) in self.groups.remove(&owner).unwrap_or_default() {
                hidden.extend(row.queue.children().map(|child| Owner::Child { group, number: child.number }));
            }
        }
    }

    /// A task that is under nothing in the tree: those that wait for one another in a ring, and
    /// those of a gather that is in its first poll.
    fn next_lost(&mut self) -> Option<Todo<'a>> {
        let lost = self.lost.get_or_insert_with(|| {
            let of = |(owner, tasks): (&Owner, &Vec<(Key, _)>)| {
                tasks.iter().map(|(key, _)| (*owner, *key)).collect::<Vec<_>>()
            };
            let mut lost: Vec<_> = self.tasks.iter().flat_map(of).collect();
            lost.sort_by_key(|(_, key)| Reverse(key.serial));
            lost
        });
        while let Some((owner, key)) = lost.pop() {
            // It may have been shown meanwhile, below another.
            let Some(tasks) = self.tasks.get_mut(&owner) else { continue };
            let Some(position) = tasks.iter().position(|(other, _)| *other == key) else { continue };
            let (key, row) = tasks.remove(position);
            return Some(Todo::Task(0, key, row));
        }
        None
    }

    /// Puts on the stack what belongs to `owner`, so that groups come first and the rest in order.
    fn push_of(&mut self, owner: Owner, depth: usize, todo: &mut Vec<Todo<'a>>) {
        let mut tasks = self.tasks.remove(&owner).unwrap_or_default();
        tasks.sort_by_key(|(key, _)| key.serial);
        let more = tasks.len().saturating_sub(MOST_LISTED);
        if more > 0 {
            todo.push(Todo::More(depth, more));
        }
        self.hide(tasks.drain(tasks.len() - more..).map(|(key, _)| Owner::Task(key.row)));
        todo.extend(tasks.into_iter().rev().map(|(key, row)| Todo::Task(depth, key, row)));
        let groups = self.groups.remove(&owner).unwrap_or_default();
        todo.extend(groups.into_iter().rev().map(|(number, row)| Todo::Group(depth, number, row)));
    }
}

/// Whom a waker is for: the root, if that is not of this runtime, or gone.
fn owner(local: &Local, waker: Option<&Waker>) -> Owner {
    let Some(id) = waker.and_then(waker::id_of).filter(|id| local.is_home_of(*id)) else {
        return Owner::Root;
    };
    match id.target() {
        Target::Task { row: MAIN, .. } => Owner::Main,
        Target::Task { row, generation } => {
            let tasks = local.tasks.borrow();
            let is_there = |key: Key| key.row == row && task_generation(key.serial) == generation;
            if tasks.key_of(row).is_some_and(is_there) { Owner::Task(row) } else { Owner::Root }
        }
        Target::Child { group, child, generation } => {
            let is_there = local.groups.borrow().has_child(group, child, generation);
            if is_there { Owner::Child { group, number: child } } else { Owner::Root }
        }
    }
}

fn state_of(row: &Row) -> State {
    match row.stage {
        Stage::Idle if row.is_queued() => State::Ready,
        Stage::Idle => State::Waiting,
        Stage::Running | Stage::RunningCancelled => State::Running,
        Stage::Finished | Stage::Cancelled | Stage::Free => State::Finished,
    }
}
