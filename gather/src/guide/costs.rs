//! What each hot path costs, and what there is left of it.
//!
//! Instructions are those of the processor, in the whole program, on all its threads; a
//! reallocation counts as an allocation; 0 is less than one in two hundred. It is counted by
//! valgrind and strace, on x86-64 and with the profile of a release (fat LTO, one codegen unit):
//!
//! | one | instructions | allocations | system calls |
//! |---|--:|--:|--:|
//! | `ready`: a child that is ready at its first poll, of a gather of 1,000 | 106 | 0 | 0 |
//! | `wait`: a child that yields once, of a gather of 1,000: its slot, one wake, two polls | 247 | 0.01 | 0 |
//! | `yield`: a wake of a child and the poll that follows: 100 children that yield 100 times | 124 | 0 | 0 |
//! | `hop`: a child wakes another: a ring of 1,000 children | 211 | 0 | 0 |
//! | `join ready`: `gather!` of three futures that are ready | 307 | 0 | 0 |
//! | `task yield`: a wake of a task and the poll that follows: 100 tasks that yield 100 times | 146 | 0.01 | 0 |
//! | `spawn root`: a task that is ready at once, spawned and awaited by the main future | 656 | 1 | 0 |
//! | `timer`: a timer set and removed: a sleep that is polled once and dropped | 369 | 0 | 0 |
//! | `timeout`: a `timeout` that is not reached, around a future that yields once | 523 | 0 | 0 |
//! | `sleep`: a sleep of its own: set, slept, fired | 2060 | 0 | 1 |
//! | `remote wake`: a child of 10,000 woken by another thread, and polled | 583 | 0.04 | 0 |
//! | `write, read`: 64 bytes written to a socket and read from its peer, neither of which waits | 332 | 0 | 2 |
//! | `echo`: 64 bytes to a task that sends them back: two writes, two reads that wait | 2850 | 0 | 6 |
//!
//! `cargo counts` counts instructions and allocations again and fails if an operation has more
//! than 3 % more of the first, or any more of the second, than `benches/counts.txt` says;
//! `cargo counts --accept` writes that file, and `cargo counts --markdown` prints this table.
//! `cargo counts --where "yield"` lists the functions that an operation's instructions are in.
//! What is done, to the letter, is in `benches/src/counts/operations.rs`; the loop around an
//! operation and the work of its futures are in its figure.
//!
//! Where something else is cheaper (a message on a socket by hand, a connection on io_uring, a
//! task that waits on glommio) a profile says why: `benches/PROFILES.md` in the repository.
//!
//! # A child that is ready
//!
//! It is taken from the input, moved into a slot, polled where it lies, dropped, and its output is
//! judged by the mode and written to its place. The slot is free then and still in the first cache
//! when the next child takes it. The runtime's tables know nothing of such a child: there is no
//! row, no id to give back. Of a whole gather there are two allocations: a chunk of slots, and the
//! outputs.
//!
//! # A wake and the poll that follows
//!
//! The wake of a child at home (a quarter of it) takes the id apart, compares the runtime's number
//! with that of the thread, finds the group and the child by index, compares the generation, and
//! links the child to the end of the group's queue: three or four stores. The first wake of a
//! gather that waits goes on to the gather's parent in the same way; the others end there. No
//! atomic operation, no count of references, no allocation.
//!
//! The poll (another quarter) takes the first child off the queue, notes the time of the dump,
//! finds the slot by number, makes the waker, which is the same number again, and calls the child.
//! What is left is the gather's loop, with its budget and its limit, and what the child does: it
//! calls the waker through a table of functions, as every future must.
//!
//! A hop of the ring is the same, within one poll of the gather; the rest is the ring's own, which
//! keeps wakers and chooses the next.
//!
//! # A task
//!
//! A task is one allocation, of its future, its output and its vtable; `malloc` and `free` are a
//! fifth of its instructions. The rest is a row of the table taken and given back, a place in the
//! ready queue, which is a list through the rows as that of a gather is one through its children,
//! two polls (of the task, and of who awaits it), and the wake between them. A task that only
//! yields costs a little more than a child that does: its box is taken out of its row for the
//! poll, and put back.
//!
//! # A timer
//!
//! It is a row of the wheel and a link in one of its lists: a deadline is turned into a tick,
//! which takes an exact subtraction of two instants, a slot is chosen by the highest bit in which
//! tick and present differ, and removal unlinks. No heap is kept in order. A timeout has no timer
//! at all until its future has to wait once.
//!
//! A sleep that fires when nothing else is to be done has the whole round of the loop in its
//! figure: the look at the mailbox, at the clock, at the wheel, and the one call of `epoll_wait`
//! that is the sleep. Of a thousand sleeps that end together each has a thousandth of that.
//!
//! # A wake from another thread
//!
//! The id is put on a list behind a lock that a wake only tries (two atomic operations), after
//! which the thread looks whether the loop sleeps; only if it does there is a system call, and one
//! for all the wakes that come until it is up. The loop takes the whole list at once and then does
//! for each id what a wake at home does. Before it sleeps again it waits ten or twenty
//! microseconds for more, where that was seen to spare the other thread the system call. If
//! another thread has the lock, or 256 ids wait, the id goes to a queue without a lock and a bound
//! instead, which allocates a block for 31 of them; so it is for most of the ten thousand here.
//!
//! # A socket
//!
//! A read and a write are the system call, a look at the socket's readiness, and a unit of the
//! budget. Readiness is one atomic word. The calls that wait stand behind a small lock, because a
//! socket may be used on any thread: a call takes it when it has to wait, and so does an event. A
//! read that gets less than it has room for knows that there is no more, and does not ask again
//! (on TCP with epoll, where that is certain). So an echo is two writes, two reads and two sleeps,
//! one for each side that waits: six calls, and none to change what is waited for, since a socket
//! is registered once for all.
//!
//! Next: [`from_asyncio`](super::from_asyncio).
