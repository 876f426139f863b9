//! Wakes from other threads, on their way to the loop.
//!
//! They lie in a list behind a lock that no wake waits for: where another thread has it just then, or the list is full, the wake goes to a
//! queue that takes no lock and has no bound. So a wake never blocks, whatever locks its caller holds, and none is dropped. The loop takes
//! the whole list at once. It alone may wait for the lock, for as long as a wake takes to be added: on one core that gives the core to the thread
//! that has the lock.
//!
//! The queue alone would do. But two threads at the ends of a queue take its cache lines from each other with every wake; with the list,
//! once for a batch. A wake of a thread that wakes 1,000 tasks (`wake 1e3` in the benches) takes 33 ns with the queue, and 98 where the two
//! processors share no cache; with the list 16 and 51, and 24 and 37 if the loop lets some gather. (With a bounded queue in the list's place it is 26 and 48.)
//!
//! Next: [`patience`](crate::patience), whether the loop waits for more.

use std::collections::VecDeque;

use crossbeam_queue::SegQueue;
use parking_lot::Mutex;

use crate::doorbell::Doorbell;
use crate::id::Id;

/// How many wakes the list has room for. It is as long as it has ever been; two of this length are 4 KiB.
const ROOM: usize = 256;

/// The wakes that the loop has not taken yet, and whether it sleeps.
pub(crate) struct Inbox {
    list: Mutex<VecDeque<Id>>,
    /// For a wake that finds the list taken or full.
    overflow: SegQueue<Id>,
    doorbell: Doorbell,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox { list: Mutex::new(VecDeque::new()), overflow: SegQueue::new(), doorbell: Doorbell::new() }
    }

    /// Adds a wake, and says whether the loop sleeps and is to be rung. Never blocks.
    pub(crate) fn push(&self, id: Id) -> bool {
        if self.push_on_list(id) {
            return self.doorbell.must_ring_after_lock();
        }
        self.overflow.push(id);
        self.doorbell.must_ring()
    }

    /// Says whether it could.
    #[inline]
    fn push_on_list(&self, id: Id) -> bool {
        let Some(mut list) = self.list.try_lock() else { return false };
        let has_room = list.len() < ROOM;
        if has_room {
            list.push_back(id);
        }
        has_room
    }

    /// Exchanges the list for `empty`, and says how many wakes there were beside it at that moment, for [`pop`](Inbox::pop).
    /// Whatever was pushed before one of these is one of these, or was taken earlier.
    pub(crate) fn take(&self, empty: &mut VecDeque<Id>) -> usize {
        let mut list = self.list.lock();
        if !list.is_empty() {
            std::mem::swap(&mut *list, empty);
        }
        // While nobody can add to the list. (Mostly there are none, which is a shorter question.)
        if self.overflow.is_empty() { 0 } else { self.overflow.len() }
    }

    /// One of those beside the list.
    pub(crate) fn pop(&self) -> Option<Id> {
        self.overflow.pop()
    }

    /// Forgets them all.
    pub(crate) fn clear(&self) {
        self.list.lock().clear();
        while self.overflow.pop().is_some() {}
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.lock().is_empty() && self.overflow.is_empty()
    }

    /// The loop says that it is going to sleep. If this gives `false`, there are wakes, and it must not.
    pub(crate) fn lie_down(&self) -> bool {
        self.doorbell.lie_down(|| self.is_empty())
    }

    /// The loop is up.
    pub(crate) fn get_up(&self) {
        self.doorbell.get_up();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::id::Target;
    use std::thread;

    fn id(number: u32) -> Id {
        Id::new(1, Target::Task { row: number, generation: 0 })
    }

    fn number(id: Id) -> u32 {
        match id.target() {
            Target::Task { row, .. } => row,
            Target::Child { .. } => unreachable!("no child was woken"),
        }
    }

    /// All that is there now.
    fn take_all(inbox: &Inbox) -> Vec<u32> {
        let mut list = VecDeque::new();
        let beside = inbox.take(&mut list);
        let beside = (0..beside).filter_map(|_| inbox.pop());
        list.into_iter().chain(beside).map(number).collect()
    }

    #[test]
    fn a_wake_waits_for_no_lock() {
        let inbox = Inbox::new();
        let held = inbox.list.lock();
        inbox.push(id(7));
        drop(held);
        assert_eq!(take_all(&inbox), [7]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn whoever_pushes_while_the_loop_sleeps_is_to_ring_once_also_beside_the_list() {
        let inbox = Inbox::new();
        assert!(inbox.lie_down());
        let held = inbox.list.lock();
        assert!(inbox.push(id(0)));
        assert!(!inbox.push(id(1)));
        drop(held);
        assert!(!inbox.lie_down(), "there are wakes beside the list");
        assert_eq!(take_all(&inbox), [0, 1]);
        assert!(inbox.lie_down());
        assert!(inbox.push(id(2)));
        assert!(!inbox.lie_down(), "there are wakes on the list");
    }

    #[test]
    fn more_than_the_list_has_room_for_are_kept_in_their_order() {
        let inbox = Inbox::new();
        let numbers: Vec<_> = (0..3 * ROOM as u32).collect();
        numbers.iter().for_each(|&number| {
            inbox.push(id(number));
        });
        assert!(inbox.list.lock().capacity() <= ROOM, "and the list is no longer than it may be");
        assert_eq!(take_all(&inbox), numbers);
    }

    #[test]
    fn what_was_pushed_earlier_is_taken_no_later() {
        const THREADS: u32 = 2;
        const EACH: u32 = 100_000;
        for _ in 0..5 {
            let inbox = Inbox::new();
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let inbox = &inbox;
                    scope.spawn(move || {
                        (0..EACH).for_each(|number| _ = inbox.push(id(thread * EACH + number)))
                    });
                }
                let mut taken = [0; THREADS as usize];
                while taken != [EACH; THREADS as usize] {
                    let mut wakes = take_all(&inbox);
                    wakes.sort_unstable();
                    for wake in wakes {
                        let next = &mut taken[(wake / EACH) as usize];
                        assert_eq!(wake % EACH, *next, "one was taken before an earlier one of its thread");
                        *next += 1;
                    }
                }
            });
            assert!(inbox.is_empty());
        }
    }
}
