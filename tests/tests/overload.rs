//! A server with far fewer descriptors than it has clients.

#![cfg(unix)]

use std::cell::Cell;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use gather::{Handle, TcpListener, TcpStream, gather, run, sleep, spawn, spawn_blocking};
use gather_tests::addresses::HERE;
use gather_tests::alone::{alone_after, command_after, is_alone};
use gather_tests::descriptors::open_descriptors;
use gather_tests::watchdog::finishes;
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Socket, Type};

const TEST: &str = "with_few_descriptors_every_client_is_served_and_the_server_neither_spins_nor_leaks";

/// Set in the process of the server.
const SERVER: &str = "GATHER_TESTS_SERVER";

const CLIENTS: u32 = 1000;

/// How often the server tries in vain to accept before its clients go on, and the pause after each
/// time.
const ATTEMPTS: u64 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// What the clients say when all of them stand in the queue.
const ALL_ARE_HERE: &str = "all are here";

/// What the server says when it listens, and when it has tried in vain for long enough.
const LISTENS: &str = "listening on ";
const STARVES: &str = "no descriptors left";

/// What the framework says when its test has passed.
const PASSED: &str = "1 passed";

#[test]
fn with_few_descriptors_every_client_is_served_and_the_server_neither_spins_nor_leaks() {
    if is_alone(TEST) && env::var_os(SERVER).is_some() {
        return finishes(|| run(server()));
    }
    // The clients need one each.
    alone_after("ulimit -S -n 4096", TEST, clients);
}

/// Holds a thousand connections, of which the server can have but a few at a time.
fn clients() {
    let mut server = command_after("ulimit -n 64", TEST)
        .env(SERVER, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut tell = server.stdin.take().unwrap();
    let mut printed = BufReader::new(server.stdout.take().unwrap());
    // What stands behind these words, in a line that may begin with those of the test's own
    // framework.
    let mut wait_for = move |words: &str| {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(printed.read_line(&mut line).unwrap() > 0, "the server has ended");
        }
        line.split(words).last().unwrap().trim().to_owned()
    };
    let address = wait_for(LISTENS);
    run(async {
        // The system lets them in, whether the server can accept them or not.
        let streams = gather((0..CLIENTS).map(|_| TcpStream::connect(&*address))).await.unwrap();
        let mut wait_for = spawn_blocking(move || {
            writeln!(tell, "{ALL_ARE_HERE}").unwrap();
            wait_for(STARVES);
            wait_for
        })
        .await
        .unwrap();
        let numbers = gather(streams.into_iter().zip(0..).map(async |(stream, number): (_, u32)| {
            stream.write_all(&number.to_le_bytes()).await?;
            let mut back = [0; 4];
            stream.read_exact(&mut back).await?;
            io::Result::Ok(u32::from_le_bytes(back))
        }));
        assert!(numbers.await.unwrap().into_iter().eq(0..CLIENTS));
        spawn_blocking(move || wait_for(PASSED)).await.unwrap();
    });
    assert!(server.wait().unwrap().success());
}

/// Accepts as servers should: after an error it waits for a moment.
async fn server() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(HERE).into()).unwrap();
    listener.listen(CLIENTS as i32).unwrap(); // the queue has room for all
    let listener = TcpListener::from_std(listener.into()).unwrap();
    println!("{LISTENS}{}", listener.local_addr().unwrap());
    let all_are_here = spawn_blocking(|| io::stdin().lines().next());
    let (accepted, served) = (Cell::new(0), Rc::new(Cell::new(0)));
    let accepts = async {
        let (mut in_vain, mut first) = (0, None);
        while accepted.get() < CLIENTS {
            match listener.accept().await {
                Ok((stream, _)) => {
                    accepted.set(accepted.get() + 1);
                    spawn(answer(stream, served.clone())).detach();
                    continue;
                }
                Err(error) => assert_eq!(error.raw_os_error(), Some(24), "too many open files: {error}"),
            }
            if !all_are_here.is_finished() {
                sleep(PAUSE).await;
                continue;
            }
            in_vain += 1;
            let metrics = Handle::current().metrics();
            let (parks, polls, busy) = (metrics.parks(), metrics.polls(), busy_time());
            let (first_parks, first_polls, first_busy) = *first.get_or_insert((parks, polls, busy));
            if in_vain == ATTEMPTS {
                // It slept between them, and was not woken by the clients that it cannot have.
                assert!(parks - first_parks <= 2 * ATTEMPTS, "{} parks", parks - first_parks);
                assert!(polls - first_polls <= 4 * ATTEMPTS, "{} polls", polls - first_polls);
                let busy = busy - first_busy;
                assert!(busy < ATTEMPTS as u32 * PAUSE / 4, "{busy:?} busy");
                println!("{STARVES}");
            }
            sleep(PAUSE).await;
        }
        assert!(in_vain >= ATTEMPTS, "there were descriptors for all, which tests nothing");
    };
    let before = open_descriptors();
    accepts.await;
    while served.get() < CLIENTS {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(open_descriptors(), before);
    assert_eq!(Handle::current().metrics().sockets_registered(), 1, "the listener");
}

/// The time for which this thread has had a processor. (`SystemThread` knows it, too, but needs a
/// descriptor to ask.)
fn busy_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn answer(stream: TcpStream, served: Rc<Cell<u32>>) {
    let mut number = [0; 4];
    stream.read_exact(&mut number).await.unwrap();
    stream.write_all(&number).await.unwrap();
    drop(stream);
    served.set(served.get() + 1);
}
