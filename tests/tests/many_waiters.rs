//! Every async method of a socket works from any number of tasks at once.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};

use gather::net::{TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use gather::net::{UnixDatagram, UnixListener, UnixStream};
use gather::{gather, run, spawn, yield_now};
use gather_tests::foreign::counter;
use gather_tests::watchdog::finishes;

const TASKS: usize = 4;

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Has several tasks call `wait` over and over, each on the same socket, and causes one event
/// after the other. Each event has to end one of the calls, and the tasks take turns.
async fn check_that_tasks_take_turns<W: Future<Output = ()>>(
    wait: impl Fn() -> W + Clone + 'static,
    mut cause: impl AsyncFnMut(),
) {
    const EVENTS: usize = 100;
    let served = Rc::new(RefCell::new([0_usize; TASKS]));
    let total = Rc::new(Cell::new(0));
    let _tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (wait, served, total) = (wait.clone(), served.clone(), total.clone());
            spawn(async move {
                loop {
                    wait().await;
                    served.borrow_mut()[task] += 1;
                    total.set(total.get() + 1);
                }
            })
        })
        .collect();
    for event in 1..=EVENTS {
        cause().await;
        while total.get() < event {
            yield_now().await;
        }
    }
    let served = *served.borrow();
    assert!(served.iter().all(|served| served.abs_diff(EVENTS / TASKS) <= 5), "{served:?}");
}

#[test]
fn tasks_that_read_one_tcp_stream_take_turns() {
    finishes(|| {
        run(async {
            let (reader, writer) = tcp_pair().await;
            let reader = Rc::new(reader);
            let read = move || {
                let reader = reader.clone();
                async move { assert_eq!(reader.read(&mut [0]).await.unwrap(), 1) }
            };
            check_that_tasks_take_turns(read, async || writer.write_all(b"x").await.unwrap()).await;
        });
    });
}

#[test]
fn tasks_that_accept_on_one_listener_take_turns() {
    finishes(|| {
        run(async {
            let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            let address = listener.local_addr().unwrap();
            let accept = move || {
                let listener = listener.clone();
                async move { drop(listener.accept().await.unwrap()) }
            };
            check_that_tasks_take_turns(accept, async || drop(TcpStream::connect(address).await.unwrap()))
                .await;
        });
    });
}

#[test]
fn tasks_that_receive_on_one_udp_socket_take_turns() {
    finishes(|| {
        run(async {
            let receiver = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let address = receiver.local_addr().unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let receive = move || {
                let receiver = receiver.clone();
                async move { assert_eq!(receiver.recv_from(&mut [0; 9]).await.unwrap().0, 1) }
            };
            let send = async || assert_eq!(sender.send_to(b"x", address).await.unwrap(), 1);
            check_that_tasks_take_turns(receive, send).await;
        });
    });
}

#[test]
#[cfg(unix)]
fn tasks_that_wait_on_one_unix_socket_take_turns() {
    finishes(|| {
        run(async {
            let (reader, writer) = UnixStream::pair().unwrap();
            let reader = Rc::new(reader);
            let read = move || {
                let reader = reader.clone();
                async move { assert_eq!(reader.read(&mut [0]).await.unwrap(), 1) }
            };
            check_that_tasks_take_turns(read, async || writer.write_all(b"x").await.unwrap()).await;

            let (receiver, sender) = UnixDatagram::pair().unwrap();
            let receiver = Rc::new(receiver);
            let receive = move || {
                let receiver = receiver.clone();
                async move { assert_eq!(receiver.recv(&mut [0; 9]).await.unwrap(), 1) }
            };
            check_that_tasks_take_turns(receive, async || assert_eq!(sender.send(b"x").await.unwrap(), 1))
                .await;

            let path = std::env::temp_dir().join(format!("gather-many-waiters-{}", std::process::id()));
            let listener = Rc::new(UnixListener::bind(&path).await.unwrap());
            let accept = move || {
                let listener = listener.clone();
                async move { drop(listener.accept().await.unwrap()) }
            };
            let connect = async || drop(UnixStream::connect(&path).await.unwrap());
            check_that_tasks_take_turns(accept, connect).await;
            std::fs::remove_file(&path).unwrap();
        });
    });
}

#[test]
fn tasks_that_write_one_stream_all_come_to_their_end() {
    const BYTES: usize = 4 << 20;
    finishes(|| {
        run(async {
            let (writer, reader) = tcp_pair().await;
            let writer = Rc::new(writer);
            let _writing: Vec<_> = (0..TASKS)
                .map(|_| {
                    let writer = writer.clone();
                    spawn(async move { writer.write_all(&vec![7; BYTES]).await.unwrap() })
                })
                .collect();
            let mut buffer = vec![0; 64 << 10];
            let mut left = TASKS * BYTES;
            while left > 0 {
                left -= reader.read(&mut buffer).await.unwrap();
            }
        });
    });
}

#[test]
fn children_that_wait_to_peek_read_and_be_readable_are_all_woken_by_one_event() {
    finishes(|| {
        run(async {
            let (reader, writer) = tcp_pair().await;
            let waits: [Pin<Box<dyn Future<Output = ()>>>; 4] = [
                Box::pin(async { assert_eq!(reader.peek(&mut [0; 2]).await.unwrap(), 2) }),
                Box::pin(async { reader.readable().await.unwrap() }),
                Box::pin(async { assert_eq!(reader.peek(&mut [0; 1]).await.unwrap(), 1) }),
                Box::pin(async { reader.readable().await.unwrap() }),
            ];
            let write = spawn(async move {
                writer.write_all(b"xy").await.unwrap();
                writer
            });
            gather(waits).capture().await;
            write.await.unwrap();
        });
    });
}

#[test]
fn a_wait_that_is_dropped_takes_its_waker_along_and_leaves_the_others() {
    finishes(|| {
        run(async {
            let (reader, writer) = tcp_pair().await;
            let (wakers, wakes): (Vec<_>, Vec<_>) = (0..5).map(|_| counter()).unzip();
            let mut waits: Vec<_> = wakers
                .iter()
                .map(|waker| {
                    let mut wait = Box::pin(reader.readable());
                    while wait.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                        // It is tried before the first event.
                        assert_eq!(
                            reader.try_read(&mut [0]).unwrap_err().kind(),
                            std::io::ErrorKind::WouldBlock
                        );
                        wait = Box::pin(reader.readable());
                    }
                    wait
                })
                .collect();
            drop(waits.remove(3));
            drop(waits.remove(0));
            writer.write_all(b"x").await.unwrap();
            while wakes.iter().map(|wakes| wakes.load(Ordering::SeqCst)).sum::<usize>() < 3 {
                yield_now().await;
            }
            let wakes: Vec<_> = wakes.iter().map(|wakes| wakes.load(Ordering::SeqCst)).collect();
            assert_eq!(wakes, [0, 1, 1, 0, 1]);
        });
    });
}

#[test]
fn of_several_polls_the_last_is_woken_and_an_async_call_beside_them_too() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (wakers, wakes): (Vec<_>, Vec<_>) = (0..3).map(|_| counter()).unzip();
            let mut call = pin!(listener.accept());
            assert!(call.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
            for waker in &wakers[1..] {
                assert!(listener.poll_accept(&mut Context::from_waker(waker)).is_pending());
            }
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            while wakes.iter().map(|wakes| wakes.load(Ordering::SeqCst)).sum::<usize>() < 2 {
                yield_now().await;
            }
            let wakes: Vec<_> = wakes.iter().map(|wakes| wakes.load(Ordering::SeqCst)).collect();
            assert_eq!(wakes, [1, 0, 1]);
        });
    });
}

#[test]
fn calls_on_other_threads_and_at_home_are_all_served() {
    const BYTES: usize = 1_000;
    finishes(|| {
        run(async {
            let (reader, writer) = tcp_pair().await;
            let reader = Arc::new(reader);
            let read = Arc::new(AtomicUsize::new(0));
            let (done, is_done) = mpsc::channel();
            for _ in 0..2 {
                let (reader, read, done) = (reader.clone(), read.clone(), done.clone());
                std::thread::spawn(move || {
                    futures_lite::future::block_on(async {
                        while reader.read(&mut [0]).await.unwrap() == 1 {
                            read.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                    done.send(()).unwrap();
                });
            }
            drop(done);
            let here = (0..2).map(|_| async {
                while reader.read(&mut [0]).await.unwrap() == 1 {
                    read.fetch_add(1, Ordering::SeqCst);
                }
            });
            let write = async {
                for _ in 0..BYTES {
                    writer.write_all(b"x").await.unwrap();
                    yield_now().await;
                }
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            };
            let all: Vec<Pin<Box<dyn Future<Output = ()>>>> = here
                .map(|reads| Box::pin(reads) as Pin<Box<dyn Future<Output = ()>>>)
                .chain([Box::pin(write) as Pin<Box<dyn Future<Output = ()>>>])
                .collect();
            gather(all).capture().await;
            for () in is_done {}
            assert_eq!(read.load(Ordering::SeqCst), BYTES);
        });
    });
}

#[test]
fn every_call_that_waits_gets_the_error_when_the_runtime_ends() {
    finishes(|| {
        let runtime = gather::Runtime::new().unwrap();
        let socket = runtime.block_on(async { UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap() });
        let mut buffers = [[0; 1]; 3];
        let mut calls: Vec<_> = buffers.iter_mut().map(|buffer| Box::pin(socket.recv(buffer))).collect();
        let (waker, wakes) = counter();
        for call in &mut calls {
            let poll = runtime.block_on(poll_fn(|_| {
                Poll::Ready(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending())
            }));
            assert!(poll);
        }
        drop(runtime);
        assert_eq!(wakes.load(Ordering::SeqCst), 3);
        for call in &mut calls {
            let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(&waker)) else {
                panic!("it would wait for ever");
            };
            result.unwrap_err();
        }
    });
}
