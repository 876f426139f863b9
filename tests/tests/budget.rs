//! The budget: what is ready at once, over and over, lets the others have their turn; and code
//! that is no poll of the runtime (destructors, executors inside a task) is neither answered
//! `Pending` for ever nor robbed of its one attempt.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::future;
use gather::net::{Interest, TcpStream, UdpSocket};
use gather::{
    Runtime, gather, now, run, scope, sleep, sleep_until, spawn, spawn_blocking, timeout, yield_now,
};
use gather_tests::foreign::counter;
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;

/// More than a budget, by far.
const MANY: usize = 2_000;

/// More units than lie between two looks of the loop at timers and sockets, twice: what its header
/// states.
const BOUND: usize = 3_000;

/// A socket to send from, and one that receives what it sends.
async fn datagrams() -> (Rc<UdpSocket>, std::net::UdpSocket) {
    let receiver = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.connect(receiver.local_addr().unwrap()).await.unwrap();
    (Rc::new(sender), receiver)
}

/// Receives what has been sent, and counts it.
fn count(receiver: &std::net::UdpSocket) -> usize {
    receiver.set_nonblocking(true).unwrap();
    let mut buffer = [0; 10];
    std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).count()
}

/// As many datagrams as the system keeps for one receiver with small ones.
const DATAGRAMS: usize = 200;

/// Spends the whole budget of the poll that goes on, and more.
async fn spend_all(socket: &UdpSocket) {
    poll_fn(|cx| {
        for _ in 0..MANY {
            if pin!(socket.writable()).poll(cx).is_pending() {
                return Poll::Ready(());
            }
        }
        unreachable!("a poll has a budget");
    })
    .await;
}

// ---- destructors

#[test]
fn the_end_of_a_runtime_lets_destructors_send_with_an_executor_of_their_own() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        let receiver = runtime.block_on(async {
            let (sender, receiver) = datagrams().await;
            for _ in 0..DATAGRAMS {
                let sender = sender.clone();
                let goodbye = on_drop(move || {
                    future::block_on(sender.send(b"bye")).unwrap();
                });
                spawn(async move {
                    let _goodbye = goodbye;
                    pending::<()>().await;
                })
                .detach();
            }
            yield_now().await;
            spend_all(&sender).await;
            receiver
        });
        drop(runtime);
        assert_eq!(count(&receiver), DATAGRAMS);
    });
}

/// Sends when it is dropped, and tries only once.
fn goodbye(sender: &Rc<UdpSocket>) -> impl Drop + use<> {
    let sender = sender.clone();
    on_drop(move || {
        let _ = future::block_on(future::poll_once(sender.send(b"bye")));
    })
}

async fn waits_with<T>(guard: T) -> Result<(), ()> {
    let _guard = guard;
    pending().await
}

#[test]
fn a_destructor_that_tries_once_to_send_succeeds_wherever_its_owner_ends() {
    finishes(|| {
        run(async {
            let (sender, receiver) = datagrams().await;
            let goodbyes = || (0..DATAGRAMS).map(|_| waits_with(goodbye(&sender)));

            // A gather is dropped.
            let mut dropped = Box::pin(gather(goodbyes()));
            for _ in 0..3 {
                assert!(future::poll_once(&mut dropped).await.is_none());
                yield_now().await; // a poll starts as many children as its budget allows
            }
            spend_all(&sender).await;
            drop(dropped);
            assert_eq!(count(&receiver), DATAGRAMS, "a gather is dropped");

            // A gather fails.
            let failing = [true, false].into_iter().flat_map(|waits| (0..DATAGRAMS).map(move |_| waits));
            let failed = gather(failing.map(|waits| {
                let goodbye = waits.then(|| goodbye(&sender));
                let sender = &sender;
                async move {
                    if goodbye.is_some() {
                        return waits_with(goodbye).await;
                    }
                    spend_all(sender).await;
                    Err(())
                }
            }));
            assert_eq!(failed.await, Err(()));
            assert_eq!(count(&receiver), DATAGRAMS, "a gather fails");

            // Handles are dropped.
            let tasks: Vec<_> = goodbyes().map(spawn_local).collect();
            yield_now().await;
            spend_all(&sender).await;
            drop(tasks);
            assert_eq!(count(&receiver), DATAGRAMS, "handles are dropped");

            // Children and tasks end by themselves, when their budget is spent.
            let ending = (0..DATAGRAMS).map(|_| {
                let (goodbye, sender) = (goodbye(&sender), sender.clone());
                SpendsThenEnds { _goodbye: goodbye, sender }
            });
            gather(ending).capture().await;
            assert_eq!(count(&receiver), DATAGRAMS, "children end");
            let tasks: Vec<_> = (0..DATAGRAMS)
                .map(|_| spawn(SpendsThenEnds { _goodbye: goodbye(&sender), sender: sender.clone() }))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(count(&receiver), DATAGRAMS, "tasks end");

            // A scope is left.
            let left = scope(async |s| {
                for _ in 0..DATAGRAMS {
                    s.spawn(waits_with(goodbye(&sender)));
                }
                yield_now().await;
                spend_all(&sender).await;
                Err::<(), ()>(())
            });
            assert_eq!(left.await, Err(()));
            assert_eq!(count(&receiver), DATAGRAMS, "a scope is left");
        });
    });
}

fn spawn_local(future: impl Future<Output = Result<(), ()>> + 'static) -> gather::Task<Result<(), ()>> {
    spawn(future)
}

/// Spends the budget of its poll, and is ready.
struct SpendsThenEnds<G> {
    _goodbye: G,
    sender: Rc<UdpSocket>,
}

impl<G> Future for SpendsThenEnds<G> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sender = self.sender.clone();
        pin!(spend_all(&sender)).poll(cx)
    }
}

// ---- executors inside a task

#[test]
fn an_executor_inside_a_task_gets_on_however_often_its_future_is_ready() {
    finishes(|| {
        run(async {
            let (sender, _receiver) = datagrams().await;
            let wait_often = async {
                for _ in 0..MANY {
                    sender.writable().await.unwrap();
                }
            };
            future::block_on(wait_often);
            future::block_on(async {
                for _ in 0..MANY {
                    sleep(Duration::ZERO).await;
                }
            });
            // A gather inside such an executor has the same budget.
            let children = (0..MANY).map(|_| async { sender.writable().await });
            future::block_on(gather(children)).unwrap();
        });
    });
}

#[test]
fn what_an_executor_inside_a_task_may_do_beyond_the_budget_is_not_left_to_others() {
    finishes(|| {
        run(async {
            let (sender, _receiver) = datagrams().await;
            spend_all(&sender).await;
            // One attempt is refused, and lets many of this executor pass.
            future::block_on(async {
                sender.writable().await.unwrap();
                sender.writable().await.unwrap();
            });
            yield_now().await;
            let done = poll_fn(|cx| {
                let ready = (0..MANY).take_while(|_| pin!(sender.writable()).poll(cx).is_ready());
                Poll::Ready(ready.count())
            });
            let done = done.await;
            assert!((100..=130).contains(&done), "{done} operations in one poll");
        });
    });
}

#[test]
fn an_executor_that_polls_while_it_is_woken_comes_to_the_end() {
    finishes(|| {
        run(async {
            let (sender, _receiver) = datagrams().await;
            let (waker, wakes) = counter();
            let mut wait_often = pin!(async {
                for _ in 0..MANY {
                    sender.writable().await.unwrap();
                }
            });
            let mut polls = 0;
            let mut woken_before = usize::MAX;
            while wakes.load(Ordering::SeqCst) != woken_before {
                woken_before = wakes.load(Ordering::SeqCst);
                polls += 1;
                if wait_often.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    break;
                }
            }
            assert!(polls > 5, "it was pending now and then, for the executor to decide: {polls} polls");
            assert!(polls < 50, "each poll got on: {polls} polls");
        });
    });
}

#[test]
fn a_gather_in_a_destructor_ends_its_poll_though_a_child_wakes_itself_for_ever() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let ends = on_drop(|| {
                let polls = Cell::new(0);
                let endless = poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    polls.set(polls.get() + 1);
                    Poll::<()>::Pending
                });
                let mut gathering = pin!(gather([endless]).capture());
                for _ in 0..10 {
                    assert!(future::block_on(future::poll_once(gathering.as_mut())).is_none());
                }
                assert!(polls.get() >= 10);
            });
            spawn(async move {
                let _ends = ends;
                pending::<()>().await;
            })
            .detach();
            yield_now().await;
        });
        drop(runtime);
    });
}

/// Polls a future a few times in each of its own polls, with a waker of its own, as combinators of
/// other libraries do.
async fn in_a_foreign_executor(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let waker = counter().0;
    poll_fn(|cx| {
        for _ in 0..3 {
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn executors_inside_the_children_of_a_gather_starve_nobody() {
    finishes(|| {
        run(async {
            let (sender, _receiver) = datagrams().await;
            let steps = Cell::new(0);
            let endless = || async {
                loop {
                    sender.writable().await.unwrap();
                    steps.set(steps.get() + 1);
                }
            };
            let children = [
                Box::pin(in_a_foreign_executor(endless())) as Pin<Box<dyn Future<Output = ()>>>,
                Box::pin(in_a_foreign_executor(async {
                    gather([endless(), endless()]).capture().await;
                })),
            ];
            let mut most = 0;
            let look = async {
                for _ in 0..50 {
                    let before = steps.get();
                    yield_now().await;
                    most = most.max(steps.get() - before);
                }
            };
            let all = [Box::pin(gather(children).race()) as Pin<Box<dyn Future<Output = _>>>];
            let mut all = pin!(gather(all).race());
            let mut look = pin!(look);
            poll_fn(|cx| {
                assert!(all.as_mut().poll(cx).is_pending());
                look.as_mut().poll(cx)
            })
            .await;
            assert!(steps.get() > 100, "{} steps", steps.get());
            assert!(most <= BOUND, "{most} steps in a poll");
        });
    });
}

// ---- what is ready at once

/// Runs an endless loop over `ready` as a child of a gather, beside a sibling, another task, a
/// timer and a socket, until each of these had its turns; and so in a task of its own. Between two
/// turns the loop gets on by a bounded number of steps.
fn check_that_the_others_have_their_turns<R: Future<Output = ()> + 'static>(ready: fn() -> R) {
    finishes(move || {
        for in_a_task in [false, true] {
            run(async move {
                let steps = Rc::new(Cell::new(0));
                let most = Rc::new(Cell::new(0));
                let endless = {
                    let steps = steps.clone();
                    async move {
                        loop {
                            ready().await;
                            steps.set(steps.get() + 1);
                        }
                    }
                };
                let looks = |most: Rc<Cell<usize>>| {
                    let steps = steps.clone();
                    async move {
                        for _ in 0..20 {
                            let before = steps.get();
                            yield_now().await;
                            most.set(most.get().max(steps.get() - before));
                        }
                    }
                };
                let others = {
                    let (sibling, task) = (looks(most.clone()), spawn(looks(most.clone())));
                    async move {
                        sibling.await;
                        task.await.unwrap();
                        sleep(Duration::from_millis(1)).await;
                        let (client, mut server) = connection().await;
                        server.write_all(b"x").unwrap();
                        client.read_exact(&mut [0]).await.unwrap();
                    }
                };
                match in_a_task {
                    false => {
                        let endless: Box<dyn Future<Output = ()>> = Box::new(endless);
                        gather([Box::into_pin(endless), Box::pin(others)]).race().await;
                    }
                    true => {
                        let _endless = spawn(endless);
                        others.await;
                    }
                }
                assert!(steps.get() > 100, "{} steps: it has hardly run", steps.get());
                assert!(most.get() <= BOUND, "{} steps between two turns of another", most.get());
            });
        }
    });
}

async fn connection() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn a_loop_over_sleeps_of_no_time_starves_nobody() {
    check_that_the_others_have_their_turns(|| sleep(Duration::ZERO));
}

#[test]
fn a_loop_that_catches_up_with_the_past_starves_nobody() {
    check_that_the_others_have_their_turns(|| {
        sleep_until(now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now))
    });
}

#[test]
fn a_loop_over_timeouts_of_no_time_starves_nobody() {
    check_that_the_others_have_their_turns(|| async {
        timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
    });
}

#[test]
fn a_loop_over_finished_tasks_starves_nobody() {
    // Each step awaits a task that has finished before; the tasks are made in bulk, when none is
    // left.
    check_that_the_others_have_their_turns(|| async {
        thread_local! {
            static FINISHED: std::cell::RefCell<Vec<gather::Task<()>>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let next = FINISHED.with_borrow_mut(Vec::pop);
        match next {
            Some(task) => task.await.unwrap_or(()),
            None => {
                let tasks: Vec<_> = (0..10_000).map(|_| spawn(async {})).collect();
                while !tasks.iter().all(gather::Task::is_finished) {
                    yield_now().await;
                }
                FINISHED.set(tasks);
            }
        }
    });
}

#[test]
fn a_loop_over_finished_blocking_jobs_and_scoped_tasks_has_a_bounded_number_in_a_poll() {
    finishes(|| {
        run(async {
            let jobs: Vec<_> = (0..MANY).map(|_| spawn_blocking(|| ())).collect();
            while !jobs.iter().all(gather::BlockingTask::is_finished) {
                yield_now().await;
            }
            assert!(
                polls_of(async {
                    for job in jobs {
                        job.await.unwrap();
                    }
                })
                .await
                    > 5
            );
            scope(async |s| {
                let tasks: Vec<_> = (0..MANY).map(|_| s.spawn(async { Ok::<(), ()>(()) })).collect();
                while !tasks.iter().all(|task| task.is_finished()) {
                    yield_now().await;
                }
                let polls = polls_of(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
                assert!(polls.await > 5);
                Ok(())
            })
            .await
            .unwrap();
        });
    });
}

/// In how many polls a future comes to its end.
async fn polls_of(future: impl Future<Output = ()>) -> usize {
    let mut polls = 0;
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    polls
}

#[test]
fn a_byte_that_is_there_is_read_by_a_loop_over_timeouts_of_no_time() {
    finishes(|| {
        run(async {
            let (client, mut server) = connection().await;
            server.write_all(b"x").unwrap();
            let mut byte = [0];
            while timeout(Duration::ZERO, client.read(&mut byte)).await.is_err() {}
            assert_eq!(&byte, b"x");
        });
    });
}

#[test]
fn a_future_that_spends_the_whole_budget_in_each_poll_does_not_outlive_its_timeout() {
    finishes(|| {
        run(async {
            let (sender, _receiver) = datagrams().await;
            let endless = async {
                loop {
                    sender.writable().await.unwrap();
                }
            };
            let over: Result<(), _> = timeout(Duration::from_millis(1), endless).await;
            over.unwrap_err();
        });
    });
}

#[test]
fn whatever_shares_a_task_with_a_future_that_spends_the_whole_budget_gets_on() {
    finishes(|| {
        run(async {
            let (sender, _receiver) = datagrams().await;
            let endless = || async {
                loop {
                    sender.writable().await.unwrap();
                }
            };
            let others = async {
                sleep(Duration::ZERO).await;
                sleep(Duration::from_millis(1)).await;
                spawn(async {}).await.unwrap();
                spawn_blocking(|| ()).await.unwrap();
                let (client, mut server) = connection().await;
                server.write_all(b"x").unwrap();
                client.read_exact(&mut [0]).await.unwrap();
            };
            let (mut first, mut second) = (pin!(endless()), pin!(endless()));
            let (mut others, mut waits) = (pin!(others), pin!(pending::<()>()));
            poll_fn(|cx| {
                let (Poll::Pending, Poll::Pending): (Poll<()>, Poll<()>) =
                    (first.as_mut().poll(cx), second.as_mut().poll(cx))
                else {
                    unreachable!("it is endless");
                };
                assert!(waits.as_mut().poll(cx).is_pending());
                others.as_mut().poll(cx)
            })
            .await;
        });
    });
}

#[test]
fn of_three_futures_that_share_a_task_each_gets_on_however_often_each_asks() {
    /// Polls all three in one task until the last is ready.
    async fn beside(
        spends_all: impl Future<Output = ()>,
        asks_once: impl Future<Output = ()>,
        last: impl Future<Output = ()>,
    ) {
        let (mut spends_all, mut asks_once, mut last) = (pin!(spends_all), pin!(asks_once), pin!(last));
        poll_fn(|cx| {
            assert!(spends_all.as_mut().poll(cx).is_pending() && asks_once.as_mut().poll(cx).is_pending());
            last.as_mut().poll(cx)
        })
        .await;
    }
    finishes(|| {
        run(async {
            let past = now();
            sleep(Duration::from_millis(1)).await;
            let (sender, _receiver) = datagrams().await;
            let spends_all = || async {
                loop {
                    sleep_until(past).await;
                }
            };
            let asks_once: [Pin<Box<dyn Future<Output = ()>>>; 3] = [
                Box::pin(async {
                    loop {
                        spawn(async {}).await.unwrap();
                    }
                }),
                Box::pin(async {
                    loop {
                        sleep_until(past).await;
                        yield_now().await;
                    }
                }),
                Box::pin(async {
                    loop {
                        sender.writable().await.unwrap();
                        yield_now().await;
                    }
                }),
            ];
            for asks_once in asks_once {
                // A timer that is over, and then a loop with a leaf in each step.
                beside(spends_all(), asks_once, async {
                    sleep(Duration::from_millis(5)).await;
                    for _ in 0..100 {
                        sleep_until(past).await;
                    }
                })
                .await;
            }
        });
    });
}

#[test]
fn attempts_that_never_wait_are_not_counted() {
    finishes(|| {
        run(async {
            let (sender, receiver) = datagrams().await;
            spend_all(&sender).await;
            for _ in 0..DATAGRAMS {
                sender.try_send(b"x").unwrap();
                sender.try_io(Interest::WRITABLE, || Ok(())).unwrap();
            }
            assert_eq!(count(&receiver), DATAGRAMS);
        });
    });
}
