//! Wakes for children that are gone, which come when another owner has their row, or will have it;
//! and inputs that do not know how long they are.

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};

use gather::{Runtime, gather, run, scope, spawn, wait, yield_now};
use gather_tests::children::poll_next_turn;
use gather_tests::probe::{Probe, poll_once};
use gather_tests::watchdog::finishes;

/// The wakers of so many children of a gather that was dropped. Its row is free now, and the next
/// owner takes it.
fn late_wakers(count: usize) -> Vec<Waker> {
    let probes: Vec<_> = (0..count).map(|_| Probe::new()).collect();
    let mut gather = gather(probes.iter().map(Probe::never)).capture();
    assert!(poll_once(&mut gather, Waker::noop()).is_pending());
    probes.iter().map(Probe::waker).collect()
}

/// More children than the owners below have, and no more than a free row has places for.
const LATE: usize = 32;

/// Runs `owner` where the late wakes come before it has the row, and where they come when it calls
/// the function that it is given.
fn with_late_wakes(owner: impl AsyncFn(&dyn Fn())) {
    for come_before in [true, false] {
        run(async {
            let late = late_wakers(LATE);
            let wake = || late.iter().for_each(Waker::wake_by_ref);
            if come_before {
                wake();
                return owner(&|| ()).await;
            }
            owner(&wake).await;
        });
    }
}

/// Five children that are never ready, the first of which calls this at each poll.
fn waiting(probes: &[Probe], wake: &dyn Fn()) -> impl Iterator<Item = impl Future<Output = ()>> {
    probes.iter().enumerate().map(move |(index, probe)| {
        let mut never = Box::pin(probe.never());
        poll_fn(move |cx| {
            if index == 0 {
                wake();
            }
            never.as_mut().poll(cx)
        })
    })
}

/// Polls an owner of [`waiting`] children in some turns: each of the children is polled once.
async fn poll_in_some_turns(probes: &[Probe], owner: impl Future, wake: &dyn Fn()) {
    let mut owner = pin!(owner);
    for _ in 0..4 {
        assert!(poll_next_turn(&mut owner).await.is_pending());
        wake();
    }
    assert!(probes.iter().all(|probe| probe.polls() == 1), "{probes:?}");
}

#[test]
fn late_wakes_poll_no_child_of_the_next_owner() {
    let probes = || -> Vec<_> { (0..5).map(|_| Probe::new()).collect() };
    with_late_wakes(async |wake| {
        let probes = probes();
        poll_in_some_turns(&probes, gather(waiting(&probes, wake)).capture(), wake).await;
    });
    with_late_wakes(async |wake| {
        let probes = probes();
        poll_in_some_turns(&probes, gather(waiting(&probes, wake)).stream().next(), wake).await;
    });
    with_late_wakes(async |wake| {
        let probes = probes();
        let children = gather(waiting(&probes, wake));
        poll_in_some_turns(&probes, children.for_each(async |_, ()| {}), wake).await;
    });
    with_late_wakes(async |wake| {
        let probes = probes();
        let mut five = waiting(&probes, wake);
        let [a, b, c, d, e] = std::array::from_fn(|_| five.next().unwrap());
        poll_in_some_turns(&probes, gather::gather!(capture; a, b, c, d, e), wake).await;
    });
    with_late_wakes(async |wake| {
        let probes = probes();
        let scope = scope(async |scope| {
            for child in waiting(&probes, wake) {
                scope.spawn(async {
                    child.await;
                    Ok::<_, ()>(())
                });
            }
            Ok(())
        });
        poll_in_some_turns(&probes, scope, wake).await;
    });
}

#[test]
fn late_wakes_end_no_owner_before_its_time() {
    with_late_wakes(async |wake| {
        let bodies = Cell::new(0);
        let children = (0..5).map(async |_| {
            wake();
            yield_now().await;
        });
        let body = async |_, ()| {
            wake();
            yield_now().await;
            bodies.set(bodies.get() + 1);
        };
        gather(children).for_each(body).await;
        assert_eq!(bodies.get(), 5);
    });
    with_late_wakes(async |wake| {
        let tasks: Vec<_> = (0..5).map(|_| spawn(yield_now())).collect();
        wake();
        let waited = wait(tasks).until(|_| {
            wake();
            false
        });
        assert_eq!(waited.await.done.len(), 5);
    });
}

/// What an iterator says when it is asked for the first time, the second, and so on.
type Says = Box<dyn Fn(usize) -> (usize, Option<usize>)>;

/// The same, of a function that captures nothing.
type SaysPlainly = fn(usize) -> (usize, Option<usize>);

/// Gives so many futures, and says what it likes of their number.
struct Liar {
    left: usize,
    calls: Rc<Cell<usize>>,
    says: Says,
}

impl Iterator for Liar {
    type Item = Pin<Box<dyn Future<Output = usize>>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let left = self.left;
        Some(Box::pin(async move {
            for _ in 0..left % 3 {
                yield_now().await;
            }
            left
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.calls.set(self.calls.get() + 1);
        (self.says)(self.calls.get())
    }
}

#[test]
fn an_input_may_say_anything_of_its_length() {
    finishes(|| {
        let all: [SaysPlainly; 7] = [
            |_| (0, Some(0)),
            |_| (0, Some(1)),
            |_| (3, Some(2)),
            |_| (0, None),
            |_| (0, Some(usize::MAX)),
            |call| (call % 7, Some(call * 1_000_003 % 50)),
            |_| (1000, Some(usize::MAX - 1)),
        ];
        for says in all {
            for limit in [1, 2, 31, 32, 33, usize::MAX] {
                let calls = Rc::new(Cell::new(0));
                let input = Liar { left: 300, calls, says: Box::new(says) };
                let outputs = run(gather(input).limit(limit).capture());
                assert_eq!(outputs, (0..300).rev().collect::<Vec<_>>());
            }
        }
        for bad in 1..5 {
            let calls = Rc::new(Cell::new(0));
            let says = move |call| if call == bad { panic!("no idea") } else { (0, None) };
            let input = Liar { left: 300, calls: calls.clone(), says: Box::new(says) };
            let result = catch_unwind(AssertUnwindSafe(|| run(gather(input).capture())));
            assert_eq!(result.is_err(), calls.get() >= bad, "{bad}");
        }
    });
}

#[test]
fn a_runtime_that_is_dropped_in_a_child_takes_nothing_from_the_siblings() {
    finishes(|| {
        let never = Probe::new();
        let other = Runtime::new().unwrap();
        let held = RefCell::new(None);
        other.block_on(async {
            let mut gather = gather((0..3).map(|_| never.never())).capture();
            assert!(poll_once(&mut gather, Waker::noop()).is_pending());
            held.replace(Some(gather));
            spawn(async { gather::gather((0..3).map(|_| std::future::pending::<()>())).capture().await })
                .detach();
            yield_now().await;
        });
        let other = RefCell::new(Some(other));
        let probes: Vec<_> = (0..4).map(|_| Probe::new()).collect();
        run(async {
            let children = probes.iter().enumerate().map(|(index, probe)| {
                let (other, held, never) = (&other, &held, &never);
                probe.watch(async move {
                    yield_now().await;
                    if index == 1 {
                        drop(other.take());
                        never.waker().wake();
                    }
                    if index == 2 {
                        // Moves here.
                        let mut gather = pin!(held.take().unwrap());
                        let polled = poll_fn(|cx| Poll::Ready(gather.as_mut().poll(cx))).await;
                        assert!(polled.is_pending());
                        never.waker().wake();
                    }
                    yield_now().await;
                })
            });
            gather(children).capture().await;
        });
        assert!(probes.iter().all(|probe| probe.polls() == 3), "{probes:?}");
        assert_eq!(never.polls(), 6);
    });
}

#[test]
fn children_that_were_woken_have_their_turn_beside_an_endless_input_however_small_the_budget_is() {
    finishes(|| {
        run(async {
            let probe = Probe::new();
            let mut first = Some(probe.ready_at(2));
            let endless = std::iter::from_fn(|| {
                let first = first.take();
                Some(async {
                    match first {
                        Some(first) => {
                            first.await;
                            Ok(())
                        }
                        None => Err(()),
                    }
                })
            });
            let mut endless = gather(endless).first_ok();
            for turn in 0..100 {
                yield_now().await;
                let polled = poll_fn(|cx| {
                    // Of the 128 units of each poll it leaves 18.
                    let mut spends = gather((0..110).map(ready)).capture();
                    assert!(Pin::new(&mut spends).poll(cx).is_ready());
                    Poll::Ready(Pin::new(&mut endless).poll(cx))
                })
                .await;
                match polled {
                    Poll::Ready(result) => return assert_eq!(result.map_err(drop), Ok((0, ()))),
                    Poll::Pending if turn == 0 => probe.waker().wake(),
                    Poll::Pending => {}
                }
            }
            panic!("it was polled {} times", probe.polls());
        });
    });
}
