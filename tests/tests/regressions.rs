//! Faults that this project had, and that its other tests did not find. Each test failed before
//! the fault was mended.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::catch_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use gather::{Handle, Runtime, gather, run, sleep, spawn, spawn_blocking, yield_now};

/// A child that leaves its waker in `place`, counts its polls, and is never ready.
fn leaves_its_waker<'a>(
    place: &'a RefCell<Option<Waker>>,
    polls: &'a Cell<u32>,
) -> impl Future<Output = ()> + 'a {
    poll_fn(move |cx| {
        polls.set(polls.get() + 1);
        *place.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
}

/// Polls once, as part of a task.
async fn poll_once<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        let _ = Pin::new(&mut *future).poll(cx);
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_late_wake_for_a_gather_macro_that_is_gone_polls_no_child_of_the_next() {
    run(async {
        let (place, polls) = (RefCell::new(None), Cell::new(0));
        let mut first = Box::pin(gather!(capture; leaves_its_waker(&place, &polls)));
        poll_once(&mut first).await;
        drop(first);
        let late: Waker = place.take().unwrap();
        let (place, polls) = (RefCell::new(None), Cell::new(0));
        let mut second = Box::pin(gather!(capture; leaves_its_waker(&place, &polls)));
        for _ in 0..10 {
            poll_once(&mut second).await;
            late.wake_by_ref();
        }
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn late_wakes_for_the_first_children_of_a_gather_that_is_gone_poll_no_child_of_those_that_follow() {
    run(async {
        // The children of a gather that have one slot after the other count from what their gather
        // counts from; so did the gathers, and the second child of the first gather was the first
        // of the second, for a waker.
        for ready in 0..8 {
            let (place, polls) = (RefCell::new(None), Cell::new(0));
            let late = async {
                let children = (0..=ready).map(async |index| {
                    if index == ready {
                        leaves_its_waker(&place, &polls).await;
                    }
                });
                poll_once(&mut gather(children).capture()).await;
                place.take().unwrap()
            };
            let late: Waker = late.await;
            for _ in 0..8 {
                let (place, polls) = (RefCell::new(None), Cell::new(0));
                let mut next = gather([leaves_its_waker(&place, &polls)]).capture();
                poll_once(&mut next).await;
                late.wake_by_ref();
                poll_once(&mut next).await;
                assert_eq!(polls.get(), 1, "{ready} were ready before the child that the wake was for");
            }
        }
    });
}

#[test]
fn tasks_that_are_dropped_as_soon_as_they_are_spawned_take_no_more_rows_than_a_few() {
    run(async {
        // Rows are numbered in the wakers, so a waker shows how far they have come.
        let row = |waker: &Waker| waker.data().addr() >> 25;
        let (place, polls) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        for _ in 0..10_000 {
            drop(spawn(pending::<()>()));
        }
        let task = {
            let (place, polls) = (place.clone(), polls.clone());
            spawn(async move { leaves_its_waker(&place, &polls).await })
        };
        while polls.get() == 0 {
            yield_now().await;
        }
        let highest = row(place.borrow().as_ref().unwrap()) & 0xFFF_FFFF;
        assert!(highest < 200, "row {highest}");
        drop(task);
    });
}

#[test]
fn the_loop_looks_up_after_a_thousand_units_of_work_however_many_tasks_are_ready() {
    run(async {
        let polls = Arc::new(AtomicU32::new(0));
        let _tasks: Vec<_> = (0..50)
            .map(|_| {
                let polls = polls.clone();
                spawn(async move {
                    let child = || async {
                        polls.fetch_add(1, Ordering::Relaxed);
                        Ok::<(), ()>(())
                    };
                    gather(std::iter::repeat_with(child)).await
                })
            })
            .collect();
        for _ in 0..20 {
            let before = polls.load(Ordering::Relaxed);
            let there = polls.clone();
            // The closure runs when the loop looks at what others have sent, which it does before
            // timers and sockets.
            let look = Handle::current().spawn(move || {
                let after = there.load(Ordering::Relaxed);
                async move { after }
            });
            let between = look.await.unwrap() - before;
            assert!(between <= 1024 + 2 * 128, "{between} polls before the loop looked up");
        }
    });
}

#[test]
fn a_yield_under_a_waker_that_polls_at_once_is_woken() {
    /// As some executors do: whoever wakes it polls it.
    struct Inline(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let Some(mut future) = self.0.lock().unwrap().take() else { return };
            let waker = Waker::from(self.clone());
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                *self.0.lock().unwrap() = Some(future);
            }
        }
    }

    run(async {
        let (sender, receiver) = std::sync::mpsc::channel();
        let inline = Arc::new(Inline(Mutex::new(None)));
        *inline.0.lock().unwrap() = Some(Box::pin(async move {
            yield_now().await;
            yield_now().await;
            sender.send(()).unwrap();
        }));
        inline.clone().wake();
        while receiver.try_recv().is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_runtime_that_is_dropped_in_a_destructor_of_a_task_drops_its_own_tasks_at_home() {
    struct AtHome(Handle, Rc<Cell<bool>>);

    impl Drop for AtHome {
        fn drop(&mut self) {
            self.1.set(Handle::try_current().as_ref() == Some(&self.0));
        }
    }

    let at_home = Rc::new(Cell::new(false));
    let inner = Runtime::new().unwrap();
    let witness = AtHome(inner.handle(), at_home.clone());
    inner.block_on(async {
        spawn(async move {
            let _witness = witness;
            pending::<()>().await;
        })
        .detach();
        yield_now().await;
    });
    run(async {
        let task = spawn(async move {
            let _inner = inner;
            pending::<()>().await;
        });
        yield_now().await;
        drop(task);
    });
    assert!(at_home.get());
}

#[test]
fn a_future_and_its_output_whose_destructors_both_panic_are_one_panic() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb");
        }
    }

    struct GivesABomb {
        _bomb: Bomb,
    }

    impl Future for GivesABomb {
        type Output = Bomb;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Bomb> {
            Poll::Ready(Bomb)
        }
    }

    let one = catch_unwind(|| run(async { drop(gather([GivesABomb { _bomb: Bomb }]).capture().await) }));
    assert!(one.is_err());
    let two = catch_unwind(|| run(async { drop(gather!(capture; GivesABomb { _bomb: Bomb }).await) }));
    assert!(two.is_err());
}

#[test]
fn the_last_poll_of_a_run_counts_as_a_long_one() {
    let runtime = Runtime::new().unwrap();
    let busy = Duration::from_millis(20);
    runtime.block_on(async {
        let start = std::time::Instant::now();
        while start.elapsed() < busy {}
    });
    assert!(runtime.metrics().longest_poll() >= busy);
}

#[test]
#[should_panic(expected = "a task was polled after it had given its output")]
fn a_blocking_task_that_is_polled_again_says_so() {
    run(async {
        let mut task = spawn_blocking(|| 1);
        assert_eq!((&mut task).await.unwrap(), 1);
        let _ = task.await;
    });
}
