//! What is counted: the hot operations, each a function that does it so many times.
//!
//! Everything here is the same each time: the virtual clock stands still, what is sent over the
//! loopback is there when the call returns, and another thread is waited for before the loop goes
//! on. So the counts are, too.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gather::{
    Builder, Handle, RemoteTask, Runtime, TcpListener, TcpStream, gather, scope, sleep, spawn, timeout,
};

/// One operation.
pub(crate) struct Operation {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    /// What is done, and what one of it is.
    pub(crate) what: &'static str,
    /// How many are done together at the least: the children of one gather, or 1.
    pub(crate) unit: u64,
    /// How often it is done in the shorter run: some units. In the longer run, twice as often.
    pub(crate) times: u64,
    /// Does it so often.
    work: fn(u64),
}

/// Until far behind the end of any run.
const HOUR: Duration = Duration::from_secs(3600);

impl Operation {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: &[Operation] = &[
        Operation {
            name: "ready",
            what: "a child that is ready at its first poll, of a gather of 1,000",
            unit: 1_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        let children =
                            (0..black_box(1_000)).map(|number: u64| ready(Ok::<_, ()>(black_box(number))));
                        assert_eq!(gather(children).await.unwrap().len(), 1_000);
                    }
                })
            },
        },
        Operation {
            name: "capture",
            what: "the same with `capture()`",
            unit: 1_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        let children = (0..black_box(1_000)).map(|number: u64| ready(black_box(number)));
                        assert_eq!(gather(children).capture().await.len(), 1_000);
                    }
                })
            },
        },
        Operation {
            name: "stream",
            what: "the same as a stream: one output taken",
            unit: 1_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        let children = (0..black_box(1_000)).map(|number: u64| ready(black_box(number)));
                        let mut stream = gather(children).stream();
                        while let Some(output) = stream.next().await {
                            black_box(output);
                        }
                    }
                })
            },
        },
        Operation {
            name: "wait",
            what: "a child that yields once, of a gather of 1,000: its slot, one wake, two polls",
            unit: 1_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        gather((0..black_box(1_000)).map(|_| Yields(1))).await.unwrap();
                    }
                })
            },
        },
        Operation {
            name: "yield",
            what: "a wake of a child and the poll that follows: 100 children that yield 100 times",
            unit: 10_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 10_000 {
                        gather((0..black_box(100)).map(|_| Yields(100))).await.unwrap();
                    }
                })
            },
        },
        Operation {
            name: "hop",
            what: "a child wakes another: a ring of 1,000 children",
            unit: 1_000,
            times: 20_000,
            work: |times| on_a_runtime(ring(times)),
        },
        Operation {
            name: "task yield",
            what: "a wake of a task and the poll that follows: 100 tasks that yield 100 times",
            unit: 10_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 10_000 {
                        let tasks: Vec<_> = (0..black_box(100)).map(|_| spawn(Yields(100))).collect();
                        for task in tasks {
                            task.await.unwrap().unwrap();
                        }
                    }
                })
            },
        },
        Operation {
            name: "spawn root",
            what: "a task that is ready at once, spawned and awaited by the main future",
            unit: 1,
            times: 5_000,
            work: |times| on_a_runtime(spawn_each(times)),
        },
        Operation {
            name: "spawn task",
            what: "the same by a task",
            unit: 1,
            times: 5_000,
            work: |times| on_a_runtime(async move { spawn(spawn_each(times)).await.unwrap() }),
        },
        Operation {
            name: "scope",
            what: "a child spawned in a scope by its body, ready at once; 1,000 to a scope",
            unit: 1_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        scope(async |s| {
                            (0..black_box(1_000))
                                .for_each(|number| drop(s.spawn(ready(Ok::<_, ()>(number)))));
                            Ok::<_, ()>(())
                        })
                        .await
                        .unwrap();
                    }
                })
            },
        },
        Operation {
            name: "join ready",
            what: "`gather!` of three futures that are ready",
            unit: 1,
            times: 5_000,
            work: |times| on_a_runtime(join_each(times, 0)),
        },
        Operation {
            name: "join yield",
            what: "`gather!` of three futures that yield once",
            unit: 1,
            times: 5_000,
            work: |times| on_a_runtime(join_each(times, 1)),
        },
        Operation {
            name: "first_ok",
            what: "`first_ok()` of three futures: the first fails, the second succeeds",
            unit: 1,
            times: 5_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times {
                        let children = [Err(()), Ok(1), Ok(2)].map(|output| ready(black_box(output)));
                        assert_eq!(gather(children).first_ok().await.unwrap(), (1, 1));
                    }
                })
            },
        },
        Operation {
            name: "timer",
            what: "a timer set and removed: a sleep that is polled once and dropped",
            unit: 1,
            times: 5_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times {
                        let mut sleep = pin!(sleep(black_box(HOUR)));
                        poll_fn(|cx| Poll::Ready(assert!(sleep.as_mut().poll(cx).is_pending()))).await;
                    }
                })
            },
        },
        Operation {
            name: "timeout",
            what: "a `timeout` that is not reached, around a future that yields once",
            unit: 1,
            times: 5_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times {
                        timeout(black_box(HOUR), Yields(1)).await.unwrap().unwrap();
                    }
                })
            },
        },
        Operation {
            name: "sleep",
            what: "a sleep of its own: set, slept, fired",
            unit: 1,
            times: 2_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times {
                        sleep(black_box(Duration::from_millis(1))).await;
                    }
                })
            },
        },
        Operation {
            name: "sleeps",
            what: "one of 1,000 children that sleep, set and fired at ten different times",
            unit: 1_000,
            times: 10_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        let children = (0..1_000).map(|number| sleep(Duration::from_millis(1 + number % 10)));
                        gather(children).capture().await;
                    }
                })
            },
        },
        Operation {
            name: "remote wake",
            what: "a child of 10,000 woken by another thread, and polled",
            unit: 10_000,
            times: 20_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 10_000 {
                        woken_by_a_thread().await;
                    }
                })
            },
        },
        Operation {
            name: "remote spawn",
            what: "a task spawned by another thread on a handle, ready at once, and its output taken",
            unit: 1_000,
            times: 5_000,
            work: |times| {
                on_a_runtime(async move {
                    for _ in 0..times / 1_000 {
                        spawned_by_a_thread().await;
                    }
                })
            },
        },
        Operation {
            name: "write, read",
            what: "64 bytes written to a socket and read from its peer, neither of which waits",
            unit: 1,
            times: 2_000,
            work: |times| {
                on_a_runtime(async move {
                    let (near, far) = connection().await;
                    let mut buffer = [0; 64];
                    for _ in 0..times {
                        near.write_all(&[1; 64]).await.unwrap();
                        far.read_exact(&mut buffer).await.unwrap();
                    }
                })
            },
        },
        Operation {
            name: "echo",
            what: "64 bytes to a task that sends them back: two writes, two reads that wait",
            unit: 1,
            times: 2_000,
            work: |times| on_the_real_clock(echo(times)), // the virtual one looks at the sockets once more before it leaps
        },
        Operation {
            name: "run",
            what: "a runtime started, used once and ended",
            unit: 1,
            times: 100,
            work: |times| (0..times).for_each(|_| gather::run(ready(()))),
        },
    ];

    /// The operation with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Operation> {
        Self::ALL.iter().find(|operation| operation.name == name)
    }

    /// Whether one of these asks for it; none asks for all.
    pub(crate) fn is_chosen(&self, filters: &[String]) -> bool {
        // "sleep" is a name; it does not ask for "sleeps" too.
        let asks = |filter: &String| match Self::named(filter) {
            Some(named) => named.name == self.name,
            None => self.name.contains(filter),
        };
        filters.is_empty() || filters.iter().any(asks)
    }

    /// Does it so often in this process.
    pub(crate) fn run(&self, times: u64) {
        (self.work)(times);
    }
}

/// Runs `future` on a virtual clock; or, where system calls are counted, on the real one.
fn on_a_runtime(future: impl Future<Output = ()>) {
    let is_virtual = std::env::var_os(crate::strace::REAL_CLOCK).is_none();
    Builder::new().virtual_clock(is_virtual).build().expect("a runtime starts").block_on(future);
}

/// Runs `future` on the real clock.
fn on_the_real_clock(future: impl Future<Output = ()>) {
    Runtime::new().expect("a runtime starts").block_on(future);
}

/// Wakes itself and waits, so often; then it is ready.
struct Yields(u32);

impl Future for Yields {
    type Output = Result<(), ()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0 == 0 {
            return Poll::Ready(Ok(()));
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Spawns and awaits one task after the other.
async fn spawn_each(times: u64) {
    for number in 0..times {
        let task = spawn(async move { black_box(number) });
        assert_eq!(task.await.unwrap(), number);
    }
}

/// Joins three futures of different types, over and over.
async fn join_each(times: u64, yields: u32) {
    for _ in 0..times {
        let yields = black_box(yields);
        gather::gather!(Yields(yields), async move { Yields(yields).await }, Yields(yields)).await.unwrap();
    }
}

/// A thousand children in a ring hand on a token so often. The next is a stride away, so that no
/// scan finds it soon.
async fn ring(hops: u64) {
    const CHILDREN: usize = 1_000;
    const STRIDE: usize = 617;
    let wakers = RefCell::new(vec![Waker::noop().clone(); CHILDREN]);
    let (holder, left) = (Cell::new(0), Cell::new(hops));
    let child = |index: usize| {
        let (wakers, holder, left) = (&wakers, &holder, &left);
        poll_fn(move |cx| {
            if left.get() == 0 {
                return Poll::Ready(());
            }
            wakers.borrow_mut()[index].clone_from(cx.waker());
            // The last child to be polled first starts the token.
            if holder.get() == index || index == CHILDREN - 1 {
                left.set(left.get() - 1);
                holder.set((index + STRIDE) % CHILDREN);
                let wakers = wakers.borrow();
                match left.get() {
                    0 => wakers.iter().for_each(Waker::wake_by_ref),
                    _ => wakers[holder.get()].wake_by_ref(),
                }
            }
            Poll::Pending
        })
    };
    gather((0..CHILDREN).map(child)).capture().await;
}

/// Ten thousand children leave their wakers, and another thread wakes them all while this one
/// waits for it to end.
async fn woken_by_a_thread() {
    let wakers = RefCell::new(Vec::with_capacity(10_000));
    let child = |_| {
        let (wakers, mut is_woken) = (&wakers, false);
        poll_fn(move |cx| {
            if std::mem::replace(&mut is_woken, true) {
                return Poll::Ready(());
            }
            wakers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
    };
    let all = gather((0..10_000).map(child)).capture();
    let wakes = async {
        while wakers.borrow().len() < 10_000 {
            gather::yield_now().await;
        }
        let wakers = wakers.take();
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
    };
    gather::gather!(capture; all, wakes).await;
}

/// Another thread spawns a thousand tasks here, while this one waits for it to end.
async fn spawned_by_a_thread() {
    let handle = Handle::current();
    let spawns = move || (0..1_000).map(|number| handle.spawn(move || ready(number))).collect();
    let tasks: Vec<RemoteTask<u64>> = thread::spawn(spawns).join().unwrap();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), number);
    }
}

/// The two ends of a connection over the loopback.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, (far, _)) = gather::gather!(TcpStream::connect(address), listener.accept()).await.unwrap();
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// Sends bytes to a task and reads them back, over and over. (The buffers are larger, as they are
/// elsewhere: then a read says whether there was more.)
async fn echo(times: u64) {
    let (near, far) = connection().await;
    let server = spawn(async move {
        let mut buffer = [0; 1024];
        for _ in 0..times {
            let length = far.read(&mut buffer).await.unwrap();
            far.write_all(&buffer[..length]).await.unwrap();
        }
    });
    let mut buffer = [0; 1024];
    for _ in 0..times {
        near.write_all(&[1; 64]).await.unwrap();
        assert_eq!(near.read(&mut buffer).await.unwrap(), 64);
    }
    server.await.unwrap();
}
