//! Faults that this runtime once had, each as a program of its users' kind, with the figure that
//! shows whether it is back.
//!
//! `cargo run -p gather-tests --bin faults`

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::{IoSlice, Read, Write};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use gather::net::{TcpListener, TcpStream, UdpSocket};
use gather::{Runtime, gather, run, sleep, spawn, timeout, yield_now};
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;

fn main() {
    vectored_writes();
    waiters();
    end_of_a_runtime();
    executor_inside_a_task();
    goodbyes();
    ready_at_once();
    #[cfg(unix)]
    signals();
}

/// Prints what `f` returns, or panics if it hangs.
fn show(title: &str, f: impl FnOnce() -> String + Send + 'static) {
    println!("{title}: {}", finishes(f));
}

fn vectored_writes() {
    show("3,000 parts of 10 bytes in write_vectored", || {
        run(async {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut peer = listener.accept().unwrap().0;
            let reader = std::thread::spawn(move || peer.read_to_end(&mut Vec::new()).unwrap());
            let bytes = vec![7; 30_000];
            let (mut calls, mut left) = (0, &bytes[..]);
            while !left.is_empty() {
                let parts: Vec<_> = left.chunks(10).map(IoSlice::new).collect();
                left = &left[stream.write_vectored(&parts).await.unwrap()..];
                calls += 1;
            }
            drop(stream);
            format!("{} bytes arrived, {calls} calls", reader.join().unwrap())
        })
    });
}

/// Tasks that wait on one socket, and how many events each of them got.
async fn shares<W: Future<Output = ()>>(
    tasks: usize,
    wait: impl Fn() -> W + Clone + 'static,
    mut cause: impl AsyncFnMut(),
) -> String {
    let shares = Rc::new(RefCell::new(vec![0; tasks]));
    let _tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let (wait, shares) = (wait.clone(), shares.clone());
            spawn(async move {
                loop {
                    wait().await;
                    shares.borrow_mut()[task] += 1;
                }
            })
        })
        .collect();
    for event in 1..=100 {
        cause().await;
        while shares.borrow().iter().sum::<usize>() < event {
            yield_now().await;
        }
    }
    format!("{:?}", shares.borrow())
}

fn waiters() {
    show("100 bytes for two tasks that read one stream", || {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let writer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let reader = Rc::new(listener.accept().await.unwrap().0);
            let read = move || {
                let reader = reader.clone();
                async move { assert_eq!(reader.read(&mut [0]).await.unwrap(), 1) }
            };
            shares(2, read, async || writer.write_all(b"x").await.unwrap()).await
        })
    });
    show("100 datagrams for four tasks that receive on one socket", || {
        run(async {
            let receiver = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let address = receiver.local_addr().unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let receive = move || {
                let receiver = receiver.clone();
                async move { assert_eq!(receiver.recv(&mut [0]).await.unwrap(), 1) }
            };
            shares(4, receive, async || assert_eq!(sender.send_to(b"x", address).await.unwrap(), 1)).await
        })
    });
    show("100 connections for two tasks that accept on one listener", || {
        run(async {
            let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            let address = listener.local_addr().unwrap();
            let accept = move || {
                let listener = listener.clone();
                async move { drop(listener.accept().await.unwrap()) }
            };
            shares(2, accept, async || drop(TcpStream::connect(address).await.unwrap())).await
        })
    });
}

/// A socket to send from, and one that counts what arrives.
async fn datagrams() -> (Rc<UdpSocket>, impl FnOnce() -> usize) {
    let receiver = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.connect(receiver.local_addr().unwrap()).await.unwrap();
    let count = move || {
        receiver.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| receiver.recv(&mut [0; 9]).ok()).count()
    };
    (Rc::new(sender), count)
}

/// Spends the budget of the poll that goes on.
async fn spend_the_budget(socket: &UdpSocket) {
    poll_fn(|cx| {
        while pin!(socket.writable()).poll(cx).is_ready() {}
        Poll::Ready(())
    })
    .await;
}

fn end_of_a_runtime() {
    show("200 destructors that send with block_on at the end of a runtime", || {
        let runtime = Runtime::new().unwrap();
        let count = runtime.block_on(async {
            let (sender, count) = datagrams().await;
            for _ in 0..200 {
                let sender = sender.clone();
                let goodbye = on_drop(move || assert_eq!(block_on(sender.send(b"bye")).unwrap(), 3));
                spawn(async move {
                    pending::<()>().await;
                    drop(goodbye)
                })
                .detach();
            }
            yield_now().await;
            spend_the_budget(&sender).await;
            count
        });
        drop(runtime);
        format!("{} arrived", count())
    });
}

fn executor_inside_a_task() {
    show("block_on inside a task, over operations that are ready", || {
        run(async {
            let (sender, _count) = datagrams().await;
            block_on(async {
                for _ in 0..100_000 {
                    sender.writable().await.unwrap();
                }
            });
            "100,000 done".to_owned()
        })
    });
}

fn goodbyes() {
    show("300 children of a dropped gather that try once to send", || {
        run(async {
            let (sender, _count) = datagrams().await;
            let sent = Cell::new(0);
            let mut children = Box::pin(
                gather((0..300).map(|_| {
                    let goodbye = on_drop(|| match block_on(poll_once(sender.send(b"bye"))) {
                        Some(Ok(_)) => sent.set(sent.get() + 1),
                        other => println!("not sent: {other:?}"),
                    });
                    async move {
                        pending::<()>().await;
                        drop(goodbye);
                    }
                }))
                .capture(),
            );
            for _ in 0..3 {
                assert!(poll_once(&mut children).await.is_none());
                yield_now().await;
            }
            spend_the_budget(&sender).await;
            drop(children);
            format!("{} sent", sent.get())
        })
    });
}

fn ready_at_once() {
    show("a byte that is there, read by a loop over timeouts of no time", || {
        run(async {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut writer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            writer.write_all(b"x").unwrap();
            let reader = TcpStream::from_std(listener.accept().unwrap().0).unwrap();
            let mut polls = 0;
            while timeout(Duration::ZERO, reader.read(&mut [0])).await.is_err() {
                polls += 1;
            }
            format!("after {polls} timeouts")
        })
    });
    show("a loop over sleeps of no time beside a sleep of 10 ms", || {
        run(async {
            let steps = Rc::new(Cell::new(0_u64));
            let counted = steps.clone();
            let _endless = spawn(async move {
                loop {
                    sleep(Duration::ZERO).await;
                    counted.set(counted.get() + 1);
                }
            });
            let start = Instant::now();
            sleep(Duration::from_millis(10)).await;
            format!("{:?}, {} steps of the loop", start.elapsed(), steps.get())
        })
    });
    show("two million finished tasks awaited beside another task", || {
        run(async {
            let (turns, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            let tasks: Vec<_> = (0..2_000_000).map(|_| spawn(async {})).collect();
            while !tasks[tasks.len() - 1].is_finished() {
                yield_now().await;
            }
            let other = {
                let (turns, ended) = (turns.clone(), ended.clone());
                spawn(async move {
                    while !ended.get() {
                        turns.set(turns.get() + 1);
                        yield_now().await;
                    }
                })
            };
            for task in tasks {
                task.await.unwrap();
            }
            ended.set(true);
            other.await.unwrap();
            format!("it had {} turns", turns.get())
        })
    });
}

/// One kind of signal that comes all the time, and another that comes once.
#[cfg(unix)]
fn signals() {
    use gather::run;
    use gather::signal::{Signal, Signals};
    use gather_tests::signals::raise;

    /// Where it gives up.
    const MOST: u32 = 10_000;

    let before = run(async {
        let mut signals = Signals::new([Signal::User1, Signal::Terminate])?;
        raise(Signal::User1);
        raise(Signal::Terminate);
        let mut before = 0;
        while signals.recv().await? == Signal::User1 && before < MOST {
            before += 1;
            raise(Signal::User1); // the next one is there before this one is handled
        }
        Ok::<_, std::io::Error>(before)
    });
    let twice = run(async {
        let mut signals = Signals::new([Signal::User1, Signal::User1, Signal::User2])?;
        raise(Signal::User1);
        let mut heard = 0;
        while signals.recv().await? == Signal::User1 {
            heard += 1;
            raise(Signal::User2); // heard when no more of the first kind is left
        }
        Ok::<_, std::io::Error>(heard)
    });
    match (before, twice) {
        (Ok(before), Ok(heard)) => println!(
            "signals: SIGTERM heard after {before} SIGUSR1 of a storm (at most 1 is fair, {MOST} is never); \
             listed twice, heard {heard} times; {}",
            forked_child()
        ),
        (Err(error), _) | (_, Err(error)) => println!("signals: {error}"),
    }
}

/// A child process that was forked receives a signal before it executes its program.
#[cfg(target_os = "linux")]
fn forked_child() -> String {
    use gather::signal::{Signal, Signals};
    use gather::{run, timeout};
    use gather_tests::signals::Forked;
    use std::time::Duration;

    let heard = run(async {
        let mut signals = Signals::new([Signal::Interrupt])?;
        let child = Forked::start();
        child.receives(Signal::Interrupt);
        Ok::<_, std::io::Error>(timeout(Duration::from_millis(10), signals.recv()).await.is_ok())
    });
    match heard {
        Ok(heard) => format!("that of a forked child is taken for the parent's: {heard}"),
        Err(error) => error.to_string(),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn forked_child() -> String {
    "a forked child cannot be watched here".to_owned()
}
