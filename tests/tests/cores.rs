//! A runtime on each of several threads: tasks that go from one to another, and sockets that are
//! handed over.
//!
//! `threads.rs` has the promises about one remote task.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gather::{Handle, TcpListener, TcpStream, gather, run, sleep, yield_now};
use gather_tests::addresses::HERE;
use gather_tests::cores::Cores;
use gather_tests::gate::Gate;
use gather_tests::random::Random;
use gather_tests::watchdog::finishes;
use gather_tests::witness::Witness;

// ---- tasks

#[test]
fn a_gather_over_several_runtimes_gives_the_outputs_in_order_and_each_comes_from_its_thread() {
    const TASKS: usize = 400;
    finishes(|| {
        run(async {
            let cores = Cores::start(4);
            let tasks = gather((0..TASKS).map(|number| {
                cores[number % cores.len()].handle.spawn(async move || {
                    let number = Rc::new(number); // it stays there
                    // They end in another order than they began in.
                    for _ in 0..Random::new(*number as u64).below(20) {
                        yield_now().await;
                    }
                    (*number, thread::current().id())
                })
            }));
            let outputs = tasks.limit(50).await.unwrap();
            let threads = cores.threads();
            assert!(
                outputs.into_iter().eq((0..TASKS).map(|number| (number, threads[number % threads.len()])))
            );
        });
    });
}

#[test]
fn the_first_failure_of_a_gather_over_several_runtimes_cancels_the_tasks_on_all_of_them() {
    const TASKS: usize = 40;
    finishes(|| {
        run(async {
            let cores = Cores::start(4);
            let (witness, fails) = (Witness::new(), Gate::new());
            let began: Arc<Mutex<usize>> = Arc::default();
            let children = gather((0..=TASKS).map(async |number| {
                let (guard, failing, began) = (witness.guard(), fails.clone(), began.clone());
                let task = cores[number % cores.len()].handle.spawn(async move || {
                    let _guard = guard;
                    let count = {
                        let mut began = began.lock().unwrap();
                        *began += 1;
                        *began
                    };
                    if count == TASKS + 1 {
                        failing.open();
                    }
                    if number == 0 {
                        failing.pass().await;
                        return Err::<(), _>("failed");
                    }
                    std::future::pending().await
                });
                task.await.unwrap()
            }));
            assert_eq!(children.await.unwrap_err(), "failed");
            while witness.drops() <= TASKS {
                // Each core comes round, and so gets to what it was told before.
                gather(cores.iter().map(|core| core.handle.spawn(async || ()))).await.unwrap();
            }
            let mut threads = witness.threads();
            threads.sort_by_key(|thread| cores.threads().iter().position(|other| other == thread));
            let expected = cores.threads().into_iter().enumerate();
            let expected = expected.flat_map(|(core, thread)| vec![thread; if core == 0 { 11 } else { 10 }]);
            assert!(threads.into_iter().eq(expected), "each was dropped on its own thread");
        });
    });
}

/// Goes on to the next core, and so on, and waits for all that come after it.
async fn hop(cores: Arc<[Handle]>, left: usize) -> usize {
    if left == 0 {
        return 0;
    }
    let next = cores[left % cores.len()].clone();
    1 + next.spawn(move || hop(cores, left - 1)).await.unwrap()
}

#[test]
fn runtimes_may_start_tasks_on_each_other_and_wait_for_them_in_a_ring() {
    finishes(|| {
        let cores = Cores::start(3);
        let handles: Arc<[Handle]> = cores.handles().into();
        run(async {
            let hops = gather([1, 2, 999, 1000].map(|left| hop(handles.clone(), left)));
            assert_eq!(hops.capture().await, [1, 2, 999, 1000]);
            // What it has counted shows to other threads when it next goes to sleep.
            let alive = || handles.iter().map(|handle| handle.metrics().tasks_alive()).sum::<usize>();
            while alive() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        });
    });
}

// ---- sockets

/// Sends a number, and gives what comes back for it.
async fn ask(server: SocketAddr, number: u32) -> io::Result<u32> {
    let stream = TcpStream::connect(server).await?;
    stream.write_all(&number.to_le_bytes()).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    Ok(u32::from_le_bytes(answer))
}

/// Answers a number with the next one.
async fn answer(stream: TcpStream) -> io::Result<()> {
    let mut number = [0; 4];
    stream.read_exact(&mut number).await?;
    stream.write_all(&(u32::from_le_bytes(number) + 1).to_le_bytes()).await
}

#[test]
fn streams_that_one_core_accepts_are_served_by_the_others() {
    const CLIENTS: u32 = 300;
    finishes(|| {
        run(async {
            let cores = Cores::start(3);
            let listener = TcpListener::bind(HERE).await.unwrap();
            let address = listener.local_addr().unwrap();
            let serves = async {
                let mut tasks = Vec::new();
                for (number, core) in (0..CLIENTS).zip(cores.iter().cycle()) {
                    let (stream, _) = listener.accept().await?;
                    if number % 2 == 0 {
                        // The data is there, and its event has been used up here: there must be
                        // one over there.
                        stream.peek(&mut [0]).await?;
                    }
                    let stream = stream.into_std()?;
                    tasks.push(core.handle.spawn(async move || answer(TcpStream::from_std(stream)?).await));
                }
                gather(tasks).await.unwrap().into_iter().collect::<io::Result<Vec<()>>>()
            };
            let asks = gather((0..CLIENTS).map(|number| ask(address, number))).limit(50);
            let (answers, _) = gather::gather!(asks, serves).await.unwrap();
            assert!(answers.into_iter().eq(1..=CLIENTS));
            assert_eq!(Handle::current().metrics().sockets_registered(), 1, "the listener");
        });
    });
}

/// Serves one number, and hands the stream on to the next core.
async fn serve_one_and_hand_on(
    stream: std::net::TcpStream,
    cores: Arc<[Handle]>,
    left: usize,
) -> io::Result<()> {
    if left == 0 {
        return Ok(());
    }
    let stream = TcpStream::from_std(stream)?;
    let mut number = [0; 4];
    stream.read_exact(&mut number).await?;
    stream.write_all(&number).await?;
    let stream = stream.into_std()?;
    let next = cores[left % cores.len()].clone();
    next.spawn(move || serve_one_and_hand_on(stream, cores, left - 1)).await.unwrap()
}

// The next number may come before the stream is handed on, while it is, or after.
#[test]
fn a_stream_that_is_handed_round_loses_nothing() {
    const NUMBERS: usize = 600;
    finishes(|| {
        let cores = Cores::start(3);
        run(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.set_nodelay(true).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let serves = serve_one_and_hand_on(stream.into_std().unwrap(), cores.handles().into(), NUMBERS);
            let asks = async {
                for numbers in 0..NUMBERS as u32 / 2 {
                    // Two at once: the second waits in the stream while it is handed on.
                    let sent = u64::from(numbers).to_le_bytes();
                    client.write_all(&sent).await?;
                    let mut back = [0; 8];
                    client.read_exact(&mut back).await?;
                    assert_eq!(back, sent);
                }
                Ok(())
            };
            gather::gather!(serves, asks).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the last core has closed it");
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn several_runtimes_share_a_port_by_listeners_of_their_own() {
    use socket2::{Domain, Socket, Type};
    const CLIENTS: u32 = 300;

    fn listen(address: SocketAddr) -> std::net::TcpListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(128).unwrap();
        socket.into()
    }

    finishes(|| {
        run(async {
            let cores = Cores::start(2);
            let first = listen(HERE.into());
            let address = first.local_addr().unwrap();
            let second = listen(address);
            let accepted = [0; 2].map(Mutex::new).map(Arc::new);
            let servers: Vec<_> = cores
                .iter()
                .zip([first, second])
                .zip(&accepted)
                .map(|((core, listener), accepted)| {
                    let accepted = accepted.clone();
                    core.handle.spawn(async move || {
                        let listener = TcpListener::from_std(listener).unwrap();
                        loop {
                            let (stream, _) = listener.accept().await.unwrap();
                            *accepted.lock().unwrap() += 1;
                            answer(stream).await.unwrap();
                        }
                    })
                })
                .collect::<Vec<gather::RemoteTask<()>>>();
            let answers = gather((0..CLIENTS).map(|number| ask(address, number))).limit(50).await.unwrap();
            assert!(answers.into_iter().eq(1..=CLIENTS));
            let accepted = accepted.map(|count| *count.lock().unwrap());
            assert_eq!(accepted.iter().sum::<u32>(), CLIENTS);
            assert!(accepted.iter().all(|count| *count > 0), "the system deals them out: {accepted:?}");
            drop(servers);
        });
    });
}
