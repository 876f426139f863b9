//! A gather keeps nobody from having their turn, and no child keeps its siblings from it: however
//! many children are ready at once, however often they wake themselves. What is measured is work
//! (polls of children), not time.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use gather::net::{TcpStream, UdpSocket};
use gather::{gather, run, sleep, spawn, yield_now};
use gather_tests::watchdog::finishes;

const MILLION: usize = 1_000_000;

/// So many polls of children there may be between two turns of another task. A fairly arbitrary
/// number: a few times what it is, and nothing beside a million.
const A_FEW: usize = 1000;

/// How much work was done, and the most that was done between two looks at it.
#[derive(Default)]
struct Work {
    done: Cell<usize>,
    seen: Cell<usize>,
    most_at_once: Cell<usize>,
    looks: Cell<usize>,
}

impl Work {
    fn add(&self) {
        self.done.set(self.done.get() + 1);
    }

    fn look(&self) {
        let since = self.done.get() - self.seen.replace(self.done.get());
        self.most_at_once.set(self.most_at_once.get().max(since));
        self.looks.set(self.looks.get() + 1);
    }

    /// Looks at it from a task, turn by turn.
    fn watch(self: Rc<Self>) -> gather::Task<()> {
        spawn(async move {
            loop {
                self.look();
                yield_now().await;
            }
        })
    }
}

/// Runs what `gathering` makes as the main future, and in a task, and checks that another task has
/// its turns meanwhile.
fn check_that_a_task_has_its_turns(gathering: impl AsyncFn(Rc<Work>) + Copy + 'static) {
    for in_a_task in [false, true] {
        let work = Rc::new(Work::default());
        run(async {
            let watch = work.clone().watch();
            yield_now().await;
            let own = work.clone();
            let gathering = async move { gathering(own).await };
            if in_a_task {
                spawn(gathering).await.unwrap()
            } else {
                gathering.await
            }
            work.look();
            drop(watch);
        });
        let (most, looks) = (work.most_at_once.get(), work.looks.get());
        assert!(work.done.get() >= MILLION);
        assert!(
            most <= A_FEW,
            "{most} polls of children between two turns of a task, in a task: {in_a_task}"
        );
        assert!(looks >= MILLION / A_FEW, "{looks} turns");
    }
}

#[test]
fn a_gather_of_a_million_ready_children_lets_another_task_have_its_turns() {
    check_that_a_task_has_its_turns(async |work: Rc<Work>| {
        let children = (0..MILLION).map(|index| {
            work.add();
            ready(Ok::<_, ()>(index))
        });
        assert_eq!(gather(children).await.map(|results| results.len()), Ok(MILLION));
    });
}

#[test]
fn a_gather_of_children_that_wake_themselves_a_million_times_lets_another_task_have_its_turns() {
    check_that_a_task_has_its_turns(async |work: Rc<Work>| {
        let children = (0..1000).map(|_| {
            let (work, mut left) = (work.clone(), MILLION / 1000);
            poll_fn(move |cx| {
                work.add();
                cx.waker().wake_by_ref();
                left -= 1;
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
        });
        gather(children).capture().await;
    });
}

#[test]
fn gathers_in_a_gather_share_one_budget_and_let_another_task_have_its_turns() {
    check_that_a_task_has_its_turns(async |work: Rc<Work>| {
        let inner = |_| {
            let work = work.clone();
            gather((0..1000).map(move |index| {
                work.add();
                ready(index)
            }))
            .capture()
        };
        gather((0..1000).map(inner)).capture().await;
    });
}

#[test]
fn a_child_that_yields_lets_a_task_outside_of_the_gather_have_a_turn_each_time() {
    run(async {
        let work = Rc::new(Work::default());
        let watch = work.clone().watch();
        yield_now().await;
        let child = async || {
            for _ in 0..100 {
                work.add();
                yield_now().await;
            }
        };
        gather([child(), child()]).capture().await;
        assert_eq!((work.done.get(), work.most_at_once.get()), (200, 2));
        drop(watch);
    });
}

#[test]
fn two_gathers_in_two_tasks_go_on_side_by_side() {
    run(async {
        let counts = Rc::new([Cell::new(0usize), Cell::new(0)]);
        let farthest_apart = Rc::new(Cell::new(0));
        let tasks = [0, 1].map(|this: usize| {
            let (counts, farthest_apart) = (counts.clone(), farthest_apart.clone());
            spawn(async move {
                let children = (0..MILLION).map(|index| {
                    counts[this].set(index);
                    farthest_apart.set(farthest_apart.get().max(index.abs_diff(counts[1 - this].get())));
                    ready(())
                });
                gather(children).capture().await.len()
            })
        });
        assert_eq!(gather(tasks).await.unwrap(), [MILLION, MILLION]);
        assert!(farthest_apart.get() <= A_FEW, "{} apart", farthest_apart.get());
    });
}

#[test]
fn a_gather_that_never_ends_lets_a_timer_fire() {
    // Once with an endless input of ready children, once with a child that wakes itself for ever.
    finishes(|| {
        run(async {
            let timer = spawn(sleep(Duration::from_nanos(1)));
            let endless =
                std::iter::repeat_with(|| ready(if timer.is_finished() { Err(()) } else { Ok(()) }));
            assert_eq!(gather(endless).limit(10).await, Err(()));
        });
    });
    finishes(|| {
        run(async {
            let timer = spawn(sleep(Duration::from_nanos(1)));
            let restless = poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if timer.is_finished() { Poll::Ready(Err(())) } else { Poll::<Result<(), _>>::Pending }
            });
            assert_eq!(gather([restless]).await, Err(()));
        });
    });
}

#[test]
fn a_gather_that_never_ends_lets_a_socket_and_a_wake_from_another_thread_come_through() {
    finishes(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let echo = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            peer.write_all(&byte).unwrap();
        });
        run(async {
            let socket = spawn(async move {
                let stream = TcpStream::connect(address).await?;
                stream.write_all(b"!").await?;
                stream.read_exact(&mut [0]).await
            });
            let thread = gather::spawn_blocking(|| ());
            let endless = std::iter::repeat_with(|| {
                ready(if socket.is_finished() && thread.is_finished() { Err(()) } else { Ok(()) })
            });
            assert_eq!(gather(endless).limit(10).await, Err(()));
            socket.await.unwrap().unwrap();
        });
        echo.join().unwrap();
    });
}

/// Tasks that read a datagram each, all of which come at once. The main future is polled whenever
/// one has read, and with `wakes_itself` as often as it can. Gives how many had read at each of
/// its polls.
fn polls_while_many_sockets_are_read(wakes_itself: bool) -> Vec<usize> {
    const SOCKETS: usize = 200;
    run(async {
        let read = Rc::new(Cell::new(0));
        let main = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let mut addresses = Vec::new();
        for _ in 0..SOCKETS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            addresses.push(socket.local_addr().unwrap());
            let (read, main) = (read.clone(), main.clone());
            spawn(async move {
                socket.recv(&mut [0]).await.unwrap();
                read.set(read.get() + 1);
                main.wake_by_ref();
            })
            .detach();
        }
        yield_now().await; // they wait
        let sender = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        addresses.iter().for_each(|address| assert_eq!(sender.send_to(b"!", address).unwrap(), 1));
        let mut polls = Vec::new();
        poll_fn(|cx| {
            polls.push(read.get());
            if read.get() == SOCKETS {
                return Poll::Ready(());
            }
            if wakes_itself {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        polls
    })
}

#[test]
fn the_main_future_does_not_wait_until_every_socket_was_read() {
    finishes(|| {
        let polls = polls_while_many_sockets_are_read(false);
        let most = polls.windows(2).map(|polls| polls[1] - polls[0]).max().unwrap();
        assert!(most <= 32, "{most} tasks were polled while the main future waited: {polls:?}");
    });
}

#[test]
fn a_main_future_that_wakes_itself_waits_until_every_ready_task_had_its_turn() {
    finishes(|| {
        let mut polls = polls_while_many_sockets_are_read(true);
        polls.dedup();
        assert!(polls.len() <= 4, "turns were cut short: {polls:?}"); // the sockets may have become ready in a few batches
    });
}

#[test]
fn an_endless_input_of_ready_children_does_not_starve_the_children_that_wait() {
    finishes(|| {
        run(async {
            let started = Cell::new(0);
            let patient = Cell::new(true); // the first child waits for a hundred wakes, the others for none
            let endless = std::iter::repeat_with(|| {
                started.set(started.get() + 1);
                let mut waits = if patient.replace(false) { 100 } else { -1 };
                poll_fn(move |cx| {
                    waits -= 1;
                    match waits {
                        0 => Poll::Ready(Err("the first")),
                        1.. => {
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        }
                        _ => Poll::Ready(Ok(())),
                    }
                })
            });
            assert_eq!(gather(endless).limit(2).await, Err("the first"));
            assert!(started.get() <= 100 * A_FEW, "{} started meanwhile", started.get());
        });
    });
}

#[test]
fn children_that_wake_themselves_for_ever_do_not_starve_the_input() {
    finishes(|| {
        run(async {
            let polls = Cell::new(0);
            let children = (0..10_000).map(async |index| {
                if index < 100 {
                    poll_fn(|cx| {
                        polls.set(polls.get() + 1);
                        cx.waker().wake_by_ref();
                        Poll::<()>::Pending
                    })
                    .await;
                }
                if index == 9_999 { Err("the last") } else { Ok(()) }
            });
            assert_eq!(gather(children).await, Err("the last"));
            assert!(polls.get() <= 10_000 * A_FEW, "{} polls of the others", polls.get());
        });
    });
}

#[test]
fn a_child_that_wakes_itself_is_polled_no_more_often_than_its_siblings_that_do_so_too() {
    run(async {
        let polls = Rc::new([const { Cell::new(0usize) }; 100]);
        let children = (0..100).map(|this: usize| {
            let polls = polls.clone();
            poll_fn(move |cx| {
                polls[this].set(polls[this].get() + 1);
                let others = polls.iter().map(Cell::get);
                let (least, most) = (others.clone().min().unwrap(), others.max().unwrap());
                // The first have a few rounds while the last are yet to start. It does not become
                // more.
                assert!(most - least <= 5, "{least} to {most} polls");
                cx.waker().wake_by_ref();
                if polls[this].get() == 1000 { Poll::Ready(()) } else { Poll::Pending }
            })
        });
        gather(children).capture().await;
    });
}

#[test]
fn a_gather_whose_children_all_wait_uses_no_turns() {
    run(async {
        let all = spawn(gather([pending::<Result<(), ()>>(), pending()]));
        for _ in 0..10 {
            yield_now().await;
        }
        let before = gather::Handle::current().metrics().polls();
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(gather::Handle::current().metrics().polls() - before, 100, "those of this task");
        drop(all);
    });
}
