//! TCP sockets, and the reactor beneath them.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use gather::{
    Builder, Handle, Runtime, TcpListener, TcpStream, gather, run, sleep, spawn, spawn_blocking, timeout,
    yield_now,
};
use gather_tests::addresses::{HERE, closed_address};
use gather_tests::alone::{alone, alone_after, check, command, is_alone};
use gather_tests::asleep::SystemThread;
use gather_tests::descriptors::{only_a_few_more_than, open_descriptors};
use gather_tests::foreign::{Done, foreign};
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, letters_are_read, poll_once, sockets_registered, some_turns};
use gather_tests::programs::send_signal;
use gather_tests::watchdog::finishes;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Two ends of a connection, both on this runtime.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(HERE).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, address) = listener.accept().await.unwrap();
    assert_eq!(address, client.local_addr().unwrap());
    (client, server)
}

/// A connection whose other end is a blocking socket of the standard library.
async fn pair_with_std() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(HERE).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().unwrap().0)
}

/// Bytes that differ from place to place, so that one that is lost or doubled is seen.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|index| (index.wrapping_mul(31) >> 3).wrapping_add(seed) as u8).collect()
}

// ---- connecting

#[test]
fn both_ends_of_a_connection_know_their_addresses_and_exchange_data() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
            for (from, to) in [(&client, &server), (&server, &client)] {
                from.write_all(b"hello").await.unwrap();
                let mut hello = [0; 5];
                to.read_exact(&mut hello).await.unwrap();
                assert_eq!(&hello, b"hello");
            }
            client.set_nodelay(true).unwrap();
            assert!(client.nodelay().unwrap());
            client.set_nodelay(false).unwrap();
            assert!(!client.nodelay().unwrap());
            client.set_ttl(33).unwrap();
            assert_eq!(client.ttl().unwrap(), 33);
            assert!(client.take_error().unwrap().is_none());
            assert!(format!("{client:?}").contains("127.0.0.1"));
            assert_eq!(sockets_registered(), 2);
            drop((client, server));
            assert_eq!(sockets_registered(), 0);
        });
    });
}

#[test]
fn an_address_may_be_written_in_many_ways() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let port = address.port();
            let connections = [
                TcpStream::connect(address).await,
                TcpStream::connect(&address).await,
                TcpStream::connect(format!("127.0.0.1:{port}")).await,
                TcpStream::connect(("127.0.0.1", port)).await,
                TcpStream::connect((String::from("127.0.0.1"), port)).await,
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await,
                TcpStream::connect([address]).await,
                TcpStream::connect(vec![address]).await,
            ];
            assert!(connections.iter().all(Result::is_ok), "{connections:?}");
            assert_eq!(Handle::current().metrics().blocking_threads(), 0, "none of them is a name");
        });
    });
}

#[test]
fn a_name_is_looked_up_on_a_thread() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind("localhost:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let connecting = TcpStream::connect(("localhost", port));
            let (stream, accepted) = future::zip(connecting, listener.accept()).await;
            assert_eq!(stream.unwrap().local_addr().unwrap(), accepted.unwrap().1);
            assert!(Handle::current().metrics().blocking_threads() > 0);
            let too_long = format!("{}:80", "a".repeat(300));
            let error = TcpStream::connect(&too_long).await.unwrap_err();
            assert!(error.to_string().contains(&"a".repeat(300)), "{error}");
        });
    });
}

#[test]
fn ipv6_works_where_the_machine_has_it() {
    finishes(|| {
        run(async {
            // Not every machine that runs tests has it.
            let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else { return };
            let address = listener.local_addr().unwrap();
            let stream = TcpStream::connect(format!("[::1]:{}", address.port())).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
        });
    });
}

#[test]
fn an_address_that_is_none_is_an_error_that_says_so() {
    run(async {
        for malformed in ["", "localhost", "127.0.0.1", "127.0.0.1:70000", ":80", "host:http"] {
            let error = TcpStream::connect(malformed).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{malformed}");
            assert!(error.to_string().contains("write `address:port` or `name:port`"), "{error}");
            assert!(TcpListener::bind(malformed).await.is_err());
        }
        let none: [SocketAddr; 0] = [];
        assert_eq!(TcpStream::connect(none).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(TcpListener::bind(none).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Handle::current().metrics().blocking_threads(), 0);
    });
}

#[test]
fn a_connection_that_is_refused_is_an_error() {
    finishes(|| {
        run(async {
            for _ in 0..100 {
                let error = TcpStream::connect(closed_address()).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            }
            assert_eq!(sockets_registered(), 0);
        });
    });
}

#[test]
fn of_several_addresses_the_first_that_works_is_taken() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let open = listener.local_addr().unwrap();
            let stream = TcpStream::connect([closed_address(), open, closed_address()]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open);
            // The first of these is taken already.
            let second = TcpListener::bind([open, HERE.into()].map(SocketAddr::from)).await.unwrap();
            assert_ne!(second.local_addr().unwrap(), open);
            let error = TcpListener::bind(open).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        });
    });
}

#[test]
fn if_no_address_works_the_error_names_each_with_its_reason() {
    finishes(|| {
        run(async {
            let closed = [closed_address(), closed_address()];
            let error = TcpStream::connect(closed).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let number = std::net::TcpStream::connect(closed[0]).unwrap_err().raw_os_error().unwrap();
            let refused = io::Error::from_raw_os_error(number);
            let [first, second] = closed.map(|address| format!("{address}: {refused}"));
            assert_eq!(error.to_string(), format!("none of 2 addresses answers: {first}; {second}"));
            // Of one address it is the system's error, with its number.
            let error = TcpStream::connect(closed[0]).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(number));
            assert_eq!(sockets_registered(), 0);
        });
    });
}

/// A listener whose queue is full: who connects hears nothing.
struct Silent {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<std::net::TcpStream>,
}

impl Silent {
    fn new() -> Silent {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(HERE).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, MILLISECOND * 100) {
            queued.push(stream);
        }
        Silent { address, _listener: listener, _queued: queued }
    }
}

#[test]
fn an_address_that_does_not_answer_is_left_waiting_after_a_quarter_of_a_second() {
    finishes(|| {
        let silent = [Silent::new(), Silent::new()];
        let [first, second] = silent.each_ref().map(|silent| silent.address);
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let open = listener.local_addr().unwrap();
            let start = gather::now();
            let stream = TcpStream::connect([first, second, open]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open);
            let (elapsed, delay) = (gather::now() - start, MILLISECOND * 250);
            assert!((delay * 2..delay * 3).contains(&elapsed), "{elapsed:?}");
            assert_eq!(sockets_registered(), 2, "the others are closed");

            // Dropping it closes all that it has opened.
            drop(stream);
            assert!(timeout(delay * 3, TcpStream::connect([first, second])).await.is_err());
            assert_eq!(sockets_registered(), 1);
        });
        drop(silent);
    });
}

#[test]
fn an_address_that_fails_is_not_waited_for_also_beside_one_that_does_not_answer() {
    finishes(|| {
        let silent = Silent::new();
        let first = silent.address;
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let open = listener.local_addr().unwrap();
            let mut addresses = vec![first];
            addresses.extend([closed_address(); 20]);
            addresses.push(open);
            let start = gather::now();
            let stream = TcpStream::connect(addresses).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open);
            // Waiting for each would take five seconds.
            let (elapsed, delay) = (gather::now() - start, MILLISECOND * 250);
            assert!((delay..delay * 2).contains(&elapsed), "{elapsed:?}");
        });
        drop(silent);
    });
}

// The one that is slow may win after the next has begun.
#[test]
fn the_first_connection_wins_whichever_attempt_makes_it() {
    finishes(|| {
        let mut silent = [Silent::new(), Silent::new()];
        let addresses = silent.each_ref().map(|silent| silent.address);
        let first = addresses[0];
        run(async move {
            let connects = spawn(TcpStream::connect(addresses));
            while sockets_registered() < 2 {
                sleep(MILLISECOND).await;
            }
            // Room for one; the client's system asks again after a second.
            silent[0]._listener.accept().unwrap();
            silent[0]._queued.clear();
            let stream = connects.await.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), first);
            assert_eq!(sockets_registered(), 1);
            drop(silent);
        });
    });
}

#[test]
fn dropping_a_connect_or_an_accept_that_waits_closes_what_it_opened_and_loses_no_connection() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut connecting = Box::pin(TcpStream::connect(address));
            assert!(poll_once(&mut connecting, Waker::noop()).is_pending());
            assert_eq!(sockets_registered(), 2);
            drop(connecting);
            assert_eq!(sockets_registered(), 1);
            let (mut given_up, _) = listener.accept().await.unwrap();
            assert_eq!(AsyncReadExt::read(&mut given_up, &mut [0]).await.unwrap_or(0), 0, "it is closed");
            drop(given_up);

            assert!(timeout(MILLISECOND, listener.accept()).await.is_err());
            let client = TcpStream::connect(address).await.unwrap();
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
        });
    });
}

#[test]
#[should_panic(expected = "a socket needs a runtime")]
fn a_socket_without_a_runtime_says_so() {
    let _ = future::block_on(TcpListener::bind(HERE));
}

// ---- reading and writing

#[test]
fn a_peek_leaves_the_data_where_it_is() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            client.write_all(b"hello").await.unwrap();
            let mut buffer = [0; 5];
            for _ in 0..3 {
                assert_eq!(server.peek(&mut buffer[..2]).await.unwrap(), 2);
                assert_eq!(&buffer[..2], b"he");
            }
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"hello");
            assert!(timeout(MILLISECOND, server.peek(&mut buffer)).await.is_err());
            drop(client);
            assert_eq!(server.peek(&mut buffer).await.unwrap(), 0);
        });
    });
}

#[test]
fn the_end_of_a_stream_is_seen_after_a_short_read_and_again_and_again() {
    finishes(|| {
        run(async {
            for after_the_end in [false, true] {
                let (client, server) = pair().await;
                client.write_all(b"abc").await.unwrap();
                let mut client = Some(client);
                if after_the_end {
                    client = None;
                }
                let mut buffer = [0; 64];
                assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
                drop(client);
                for _ in 0..5 {
                    assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
                }
                let error = server.read_exact(&mut buffer).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        });
    });
}

#[test]
fn reading_into_nothing_and_writing_nothing_does_not_wait() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let nothing: &mut [u8] = &mut [];
            assert_eq!(server.write(&[]).await.unwrap(), 0);
            server.write_all(&[]).await.unwrap();
            server.read_exact(nothing).await.unwrap();
            // Its documentation says: 0 if the buffer is empty. Here nobody has written anything.
            assert_eq!(server.read(nothing).await.unwrap(), 0);
            client.write_all(b"x").await.unwrap();
            server.peek(&mut [0]).await.unwrap();
            assert_eq!(server.read(nothing).await.unwrap(), 0);
            server.read_exact(&mut [0]).await.unwrap();
        });
    });
}

#[test]
fn several_buffers_are_read_and_written_in_one_call() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let parts = [io::IoSlice::new(b"hel"), io::IoSlice::new(b""), io::IoSlice::new(b"lo")];
            assert_eq!(client.write_vectored(&parts).await.unwrap(), 5);
            let [mut one, mut other] = [[0; 2], [0; 2]];
            let mut parts = [io::IoSliceMut::new(&mut one), io::IoSliceMut::new(&mut other)];
            assert_eq!(server.read_vectored(&mut parts).await.unwrap(), 4);
            assert_eq!([&one, &other], [b"he", b"ll"]);
            let mut parts = [io::IoSliceMut::new(&mut one), io::IoSliceMut::new(&mut other)];
            assert_eq!(server.read_vectored(&mut parts).await.unwrap(), 1);
            assert!(timeout(MILLISECOND, server.read_vectored(&mut parts)).await.is_err());
            assert_eq!(server.read_vectored(&mut []).await.unwrap(), 0);
        });
    });
}

// A read ends early in front of a byte that is urgent, though more stands behind it.
#[test]
fn what_stands_behind_an_urgent_byte_is_read_though_the_read_before_it_was_short() {
    finishes(|| {
        run(async {
            let (client, peer) = pair_with_std().await;
            let peer = socket2::Socket::from(peer);
            for _ in 0..3 {
                peer.send(b"abc").unwrap();
                peer.send_out_of_band(b"!").unwrap();
                peer.send(b"def").unwrap();
                sleep(MILLISECOND).await; // the loop looks at its sockets
                let mut text = [0; 6];
                let mut length = 0;
                while length < text.len() {
                    let mut buffer = [0; 64];
                    let count = client.read(&mut buffer).await.unwrap();
                    text[length..][..count].copy_from_slice(&buffer[..count]);
                    length += count;
                }
                assert_eq!(&text, b"abcdef");
                assert!(timeout(MILLISECOND, client.read(&mut [0])).await.is_err());
            }
        });
    });
}

#[test]
fn a_reader_that_takes_less_than_there_is_finds_the_rest() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let data = pattern(10_000, 1);
            client.write_all(&data).await.unwrap();
            let mut received = Vec::new();
            let mut part = [0; 7];
            while received.len() < data.len() {
                let count = server.read(&mut part).await.unwrap();
                received.extend_from_slice(&part[..count]);
                sleep(Duration::ZERO).await;
            }
            assert!(received == data);
        });
    });
}

#[test]
fn connections_that_come_together_are_accepted_one_by_one() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let address = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            for client in &clients {
                let (_, from) = listener.accept().await.unwrap();
                assert_eq!(from, client.local_addr().unwrap());
                sleep(MILLISECOND).await; // other events come in between
            }
            assert!(timeout(MILLISECOND, listener.accept()).await.is_err());
        });
    });
}

#[test]
fn dropping_a_read_that_waits_loses_no_data() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let mut byte = [0];
            for round in 0..20 {
                assert!(timeout(MILLISECOND, server.read(&mut byte)).await.is_err());
                client.write_all(&[round]).await.unwrap();
                assert_eq!(server.read(&mut byte).await.unwrap(), 1);
                assert_eq!(byte[0], round);
            }
        });
    });
}

#[test]
fn a_stream_that_is_half_closed_still_goes_the_other_way() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            client.write_all(b"question").await.unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut question = Vec::new();
            AsyncReadExt::read_to_end(&mut &server, &mut question).await.unwrap();
            assert_eq!(question, b"question");
            assert!(client.write_all(b"more").await.is_err());
            let answer = pattern(1 << 20, 2);
            let writes = server.write_all(&answer);
            let mut received = vec![0; answer.len()];
            let (written, read) = future::zip(writes, client.read_exact(&mut received)).await;
            written.unwrap();
            read.unwrap();
            assert!(received == answer);
            server.shutdown(Shutdown::Both).unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            server.shutdown(Shutdown::Both).unwrap();
        });
    });
}

// The peer goes away with what it has not read, which resets the connection.
#[test]
fn a_reader_and_a_writer_learn_that_the_peer_has_gone() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let reads = spawn(async move {
                let mut buffer = [0; 100];
                loop {
                    match client.read(&mut buffer).await {
                        Ok(0) | Err(_) => break client,
                        Ok(_) => {}
                    }
                }
            });
            some_turns().await;
            drop(server);
            let client = reads.await.unwrap();
            let big = vec![0; 1 << 20];
            let error = loop {
                if let Err(error) = client.write_all(&big).await {
                    break error;
                }
            };
            let kind = error.kind();
            assert!(matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");

            let (client, server) = pair().await;
            server.write_all(&big[..1000]).await.unwrap();
            client.write_all(b"unread").await.unwrap();
            server.peek(&mut [0]).await.unwrap();
            drop(server); // with "unread" in it: a reset
            let mut all = Vec::new();
            let end = AsyncReadExt::read_to_end(&mut &client, &mut all).await;
            assert!(end.is_err() || all.len() == 1000);
        });
    });
}

#[test]
fn much_data_goes_both_ways_at_once_through_borrowed_streams() {
    const LENGTH: usize = 4 << 20;
    async fn sends(stream: &TcpStream, data: &[u8]) -> io::Result<usize> {
        stream.write_all(data).await?;
        stream.shutdown(Shutdown::Write)?;
        Ok(data.len())
    }
    async fn receives(stream: &TcpStream, expected: &[u8]) -> io::Result<usize> {
        let (mut received, mut buffer) = (0, vec![0; 50_000]);
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                break Ok(received);
            }
            assert!(buffer[..count] == expected[received..received + count]);
            received += count;
        }
    }
    finishes(|| {
        let (to_server, to_client) = (pattern(LENGTH, 3), pattern(LENGTH, 4));
        run(async {
            let (client, server) = pair().await;
            let directions: [Pin<Box<dyn Future<Output = io::Result<usize>>>>; 4] = [
                Box::pin(sends(&client, &to_server)),
                Box::pin(receives(&server, &to_server)),
                Box::pin(sends(&server, &to_client)),
                Box::pin(receives(&client, &to_client)),
            ];
            assert_eq!(gather(directions).await.unwrap(), [LENGTH; 4]);
        });
    });
}

#[test]
fn streams_and_references_to_them_have_the_traits_of_futures_io() {
    finishes(|| {
        run(async {
            let (mut client, server) = pair().await;
            AsyncWriteExt::write_all(&mut client, b"by value, ").await.unwrap();
            AsyncWriteExt::write_all(&mut &client, b"by reference, ").await.unwrap();
            let parts = [io::IoSlice::new(b"in "), io::IoSlice::new(b"parts")];
            assert_eq!(AsyncWriteExt::write_vectored(&mut &client, &parts).await.unwrap(), 8);
            assert_eq!(AsyncWriteExt::write_vectored(&mut client, &parts).await.unwrap(), 8);
            AsyncWriteExt::flush(&mut client).await.unwrap();
            AsyncWriteExt::close(&mut client).await.unwrap();
            let mut text = String::new();
            AsyncReadExt::read_to_string(&mut &server, &mut text).await.unwrap();
            assert_eq!(text, "by value, by reference, in partsin parts");
            AsyncWriteExt::close(&mut &server).await.unwrap();
            assert_eq!(AsyncReadExt::read(&mut client, &mut [0]).await.unwrap(), 0);
        });
    });
}

#[test]
fn a_reader_and_a_writer_of_one_stream_are_both_woken_and_one_may_go() {
    finishes(|| {
        run(async {
            let (client, mut server) = pair_with_std().await;
            let client = Arc::new(client);
            let endless = vec![7; 1 << 20];
            let start_reader = || {
                let client = client.clone();
                spawn(async move { client.read(&mut [0; 10]).await.unwrap() })
            };
            let writes = spawn({
                let client = client.clone();
                async move {
                    for _ in 0..20 {
                        client.write_all(&endless).await.unwrap();
                    }
                }
            });
            let [gives_up, reads] = [start_reader(), start_reader()];
            // Both wait: the send buffer is full, and the peer has sent nothing.
            sleep(MILLISECOND * 5).await;
            assert!(!writes.is_finished() && !reads.is_finished());
            drop(gives_up);
            server.write_all(b"abc").unwrap();
            assert_eq!(reads.await.unwrap(), 3);
            assert!(!writes.is_finished());
            let drains = spawn_blocking(move || {
                let mut buffer = vec![0; 1 << 16];
                let mut left = 20 << 20;
                while left > 0 {
                    left -= server.read(&mut buffer).unwrap();
                }
            });
            writes.await.unwrap();
            drains.await.unwrap();
        });
    });
}

// ---- threads and runtimes

#[test]
fn a_stream_may_be_used_and_dropped_on_another_thread_while_its_runtime_lives() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let done = Gate::new();
            let opens = done.clone();
            let thread = thread::spawn(move || {
                let mut received = vec![0; 1 << 20];
                future::block_on(async {
                    server.read_exact(&mut received).await.unwrap();
                    server.write_all(&received).await.unwrap();
                });
                // On another runtime, too.
                run(async {
                    server.write_all(b"bye").await.unwrap();
                    assert_eq!(sockets_registered(), 0, "it stays with its runtime");
                });
                drop(server);
                opens.open();
            });
            let data = pattern(1 << 20, 5);
            client.write_all(&data).await.unwrap();
            let mut back = vec![0; data.len()];
            client.read_exact(&mut back).await.unwrap();
            assert!(back == data);
            let mut rest = Vec::new();
            AsyncReadExt::read_to_end(&mut &client, &mut rest).await.unwrap();
            assert_eq!(rest, b"bye");
            done.pass().await;
            thread.join().unwrap();
            letters_are_read().await;
            assert_eq!(sockets_registered(), 1);
        });
    });
}

// Each trip is a chance to lose one.
#[test]
fn no_event_is_lost_between_two_runtimes_that_talk() {
    const TRIPS: u32 = 5000;
    finishes(|| {
        let (send, receive) = mpsc::channel();
        let server = thread::spawn(move || {
            run(async {
                let listener = TcpListener::bind(HERE).await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                let mut number = [0; 4];
                while stream.read_exact(&mut number).await.is_ok() {
                    stream.write_all(&number).await.unwrap();
                }
            });
        });
        let address = receive.recv().unwrap();
        run(async {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            for trip in 0..TRIPS {
                stream.write_all(&trip.to_le_bytes()).await.unwrap();
                let mut number = [0; 4];
                stream.read_exact(&mut number).await.unwrap();
                assert_eq!(u32::from_le_bytes(number), trip);
            }
        });
        server.join().unwrap();
    });
}

#[test]
fn an_event_that_comes_while_another_thread_begins_to_wait_is_not_lost() {
    finishes(|| {
        let (sender, receiver) = mpsc::channel();
        let gate = Gate::new();
        let passes = gate.pass();
        let home = thread::spawn(move || {
            run(async {
                let (stream, peer) = pair_with_std().await;
                sender.send((stream, peer, Handle::current())).unwrap();
                passes.await;
            });
        });
        let (stream, peer, handle) = receiver.recv().unwrap();
        let mut byte = [0];
        let mut reads = Box::pin(stream.read(&mut byte));
        assert!(poll_once(&mut reads, Waker::noop()).is_pending());
        // Who waits has looked once, then clones the waker, then looks again and leaves it. In
        // between the event comes: when the other loop has slept, it has seen it.
        let woken = Arc::new(AtomicBool::new(false));
        let wakes = woken.clone();
        let waker = foreign(move |done| match done {
            Done::Clone => {
                (&peer).write_all(b"x").unwrap();
                future::block_on(handle.spawn(|| sleep(MILLISECOND))).unwrap();
            }
            Done::Wake => wakes.store(true, Ordering::SeqCst),
            Done::Drop => {}
        });
        let polled = poll_once(&mut reads, &waker);
        assert!(polled.is_ready() || woken.load(Ordering::SeqCst), "nobody will wake it");
        gate.open();
        home.join().unwrap();
    });
}

#[test]
fn a_socket_whose_runtime_is_gone_gives_errors_to_those_who_wait_and_to_those_who_come() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        let (listener, reader, writer, peers) = runtime.block_on(async {
            let (reader, first) = pair_with_std().await;
            let (writer, second) = pair_with_std().await;
            (TcpListener::bind(HERE).await.unwrap(), reader, writer, (first, second))
        });
        let waits = thread::spawn(move || {
            let error = future::block_on(reader.read(&mut [0])).unwrap_err();
            (error, reader)
        });
        let writes = thread::spawn(move || {
            let endless = vec![0; 1 << 20];
            loop {
                if let Err(error) = future::block_on(writer.write_all(&endless)) {
                    return error;
                }
            }
        });
        // A third waits here, with a waker that says when it is woken.
        let probe = Probe::new();
        let mut accepts = Box::pin(listener.accept());
        let woken = Gate::new();
        let opens = woken.clone();
        let waker = foreign(move |done| {
            if done == Done::Wake {
                opens.open();
            }
        });
        assert!(poll_once(&mut accepts, &waker).is_pending());
        drop(probe);
        drop(runtime);
        future::block_on(woken.pass());
        assert_eq!(
            future::block_on(accepts).unwrap_err().to_string(),
            "the runtime of this socket has ended"
        );
        let (error, reader) = waits.join().unwrap();
        assert_eq!(error.to_string(), "the runtime of this socket has ended");
        assert_eq!(writes.join().unwrap().to_string(), "the runtime of this socket has ended");
        run(async {
            assert!(reader.read(&mut [0]).await.is_err());
            assert!(reader.write(b"x").await.is_err());
            assert!(reader.peek(&mut [0]).await.is_err());
            // As a socket of the standard library it lives on, and may come to another runtime.
            let reader = TcpStream::from_std(reader.into_std().unwrap()).unwrap();
            let mut peer = peers.0;
            peer.write_all(b"hello").unwrap();
            let mut hello = [0; 5];
            reader.read_exact(&mut hello).await.unwrap();
            assert_eq!(&hello, b"hello");
        });
    });
}

#[test]
fn sockets_come_from_the_standard_library_and_go_back_to_it() {
    finishes(|| {
        run(async {
            let listener = std::net::TcpListener::bind(HERE).unwrap();
            let address = listener.local_addr().unwrap();
            let mut client = std::net::TcpStream::connect(address).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(b"one").unwrap();
            let mut buffer = [0; 3];
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(sockets_registered(), 2);
            let mut server = server.into_std().unwrap();
            let listener = listener.into_std().unwrap();
            assert_eq!(sockets_registered(), 0);
            assert_eq!(
                server.read(&mut buffer).unwrap_err().kind(),
                io::ErrorKind::WouldBlock,
                "as documented"
            );
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let server = TcpStream::from_std(server).unwrap();
            // What was there before it came is found.
            client.write_all(b"two").unwrap();
            let client = TcpStream::from_std(client).unwrap();
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"two");
            server.write_all(b"six").await.unwrap();
            client.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"six");
        });
    });
}

// The documentation says so, for what the standard library has no stable method for.
#[test]
fn other_options_are_set_through_the_descriptor() {
    finishes(|| {
        run(async {
            let (client, server) = pair().await;
            let socket = socket2::SockRef::from(&client);
            socket.set_keepalive(true).unwrap();
            assert!(socket.keepalive().unwrap());
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            drop(client); // which now is a reset
            let error = server.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        });
    });
}

// ---- the reactor

// A duplicate keeps the socket in the system's table when it is closed here.
#[test]
fn a_socket_that_was_dropped_makes_no_events_though_a_duplicate_of_it_is_open() {
    finishes(|| {
        run(async {
            let (client, mut peer) = pair_with_std().await;
            let client = client.into_std().unwrap();
            let duplicate = client.try_clone().unwrap();
            let dropped = TcpStream::from_std(client).unwrap();
            assert!(timeout(MILLISECOND, dropped.read(&mut [0])).await.is_err());
            drop(dropped);
            // This one takes its row, and perhaps its descriptor's number.
            let (other, mut other_peer) = pair_with_std().await;
            assert!(timeout(MILLISECOND, other.read(&mut [0])).await.is_err());
            let before = Handle::current().metrics().io_events();
            peer.write_all(b"abc").unwrap();
            assert!(timeout(MILLISECOND * 5, other.read(&mut [0])).await.is_err());
            assert_eq!(Handle::current().metrics().io_events(), before);
            // The duplicate may come here itself.
            let duplicate = TcpStream::from_std(duplicate).unwrap();
            let mut buffer = [0; 3];
            duplicate.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"abc");
            other_peer.write_all(b"def").unwrap();
            other.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"def");
        });
    });
}

// While the events of one batch are handed out, the first closes the second's socket and opens one
// in its row.
#[test]
fn an_event_for_a_socket_that_was_closed_in_the_same_batch_is_not_given_to_the_next_in_its_row() {
    finishes(|| {
        run(async {
            let std_listener = || std::net::TcpListener::bind(HERE).unwrap();
            let listeners = [std_listener(), std_listener()];
            let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
            let listeners: Vec<_> =
                listeners.into_iter().map(|listener| TcpListener::from_std(listener).unwrap()).collect();
            let listeners = Arc::new(Mutex::new(listeners));
            let successor = Arc::new(Mutex::new(None));
            let probe = Probe::new();
            let mut woken = Vec::new();
            for index in 0..2 {
                // Whichever is first in the batch closes the other.
                let (listeners, successor) = (listeners.clone(), successor.clone());
                let probe = probe.clone();
                let waker = foreign(move |done| {
                    if done == Done::Wake && successor.lock().unwrap().is_none() {
                        drop(listeners.lock().unwrap().remove(1 - index));
                        let next = TcpListener::from_std(std::net::TcpListener::bind(HERE).unwrap()).unwrap();
                        let mut accepts = probe.watch(poll_fn(|cx| next.poll_accept(cx).map(drop)));
                        let polled = poll_once(&mut pin!(&mut accepts), Waker::noop());
                        assert!(polled.is_pending());
                        drop(accepts);
                        *successor.lock().unwrap() = Some(next);
                    }
                });
                woken.push(waker);
            }
            for (index, waker) in woken.iter().enumerate() {
                let listeners = listeners.lock().unwrap();
                let mut accepts = poll_fn(|cx| listeners[index].poll_accept(cx).map(drop));
                assert!(poll_once(&mut accepts, waker).is_pending());
            }
            // Both become ready while the loop stands.
            let _clients = addresses.map(|address| std::net::TcpStream::connect(address).unwrap());
            let before = Handle::current().metrics().io_events();
            sleep(MILLISECOND).await; // the loop looks at its sockets
            let successor = successor.lock().unwrap().take().expect("one of them was woken");
            assert_eq!(
                Handle::current().metrics().io_events() - before,
                1,
                "the other's event is for nobody"
            );
            assert!(timeout(MILLISECOND, successor.accept()).await.is_err());
            let client = std::net::TcpStream::connect(successor.local_addr().unwrap()).unwrap();
            assert_eq!(successor.accept().await.unwrap().1, client.local_addr().unwrap());
        });
    });
}

#[test]
fn a_thousand_connections_are_served_four_events_at_a_time() {
    const CONNECTIONS: u32 = 1000;
    let test = "a_thousand_connections_are_served_four_events_at_a_time";
    alone_after("ulimit -S -n 4096", test, || {
        let runtime = Builder::new().event_capacity(4).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(async move {
                let mut served = Vec::new();
                for _ in 0..CONNECTIONS {
                    let (stream, _) = listener.accept().await.unwrap();
                    served.push(spawn(async move {
                        let mut number = [0; 4];
                        while stream.read_exact(&mut number).await.is_ok() {
                            stream.write_all(&number).await.unwrap();
                        }
                    }));
                }
                gather(served).await.unwrap().len()
            });
            // No more than the listener's queue holds at once, but all stay.
            let clients =
                gather((0..CONNECTIONS).map(|_| TcpStream::connect(address))).limit(100).await.unwrap();
            let numbers = gather(clients.iter().zip(0..).map(async |(client, number): (&TcpStream, u32)| {
                let mut back = [0; 4];
                for _ in 0..3 {
                    client.write_all(&number.to_le_bytes()).await?;
                    client.read_exact(&mut back).await?;
                }
                Ok::<u32, io::Error>(u32::from_le_bytes(back))
            }))
            .await
            .unwrap();
            assert!(numbers.into_iter().eq(0..CONNECTIONS));
            drop(clients);
            assert_eq!(server.await.unwrap(), CONNECTIONS as usize);
            assert_eq!(sockets_registered(), 0);
        });
    });
}

#[test]
fn sockets_leave_no_descriptors_open() {
    alone("sockets_leave_no_descriptors_open", || {
        run(async {
            let round = async || {
                let (client, server) = pair().await;
                client.write_all(b"x").await.unwrap();
                server.read_exact(&mut [0]).await.unwrap();
                assert!(TcpStream::connect(closed_address()).await.is_err());
                let mut connecting = Box::pin(TcpStream::connect(closed_address()));
                let _ = poll_once(&mut connecting, Waker::noop());
                drop(connecting);
                let (kept, _peer) = pair_with_std().await;
                drop(kept.into_std().unwrap());
                let away = thread::spawn(move || drop(server));
                away.join().unwrap();
            };
            round().await;
            letters_are_read().await;
            let before = open_descriptors();
            for _ in 0..200 {
                round().await;
            }
            letters_are_read().await;
            // A thread that is just ending may hold one for a moment.
            assert!(only_a_few_more_than(before));
            assert_eq!(sockets_registered(), 0);
        });
    });
}

// With events that come once, the one that could not be accepted makes no second.
#[test]
fn a_connection_that_could_not_be_accepted_for_want_of_descriptors_is_accepted_later() {
    let test = "a_connection_that_could_not_be_accepted_for_want_of_descriptors_is_accepted_later";
    alone_after("ulimit -n 40", test, || {
        run(async {
            let listener = TcpListener::bind(HERE).await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(timeout(MILLISECOND, listener.accept()).await.is_err());
            let client = std::net::TcpStream::connect(address).unwrap();
            let mut files = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                files.push(file);
            }
            for _ in 0..3 {
                let error = listener.accept().await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(24), "too many open files: {error}");
            }
            // No new client comes.
            drop(files);
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
        });
    });
}

// The peer has ended its direction, which makes events, and takes nothing.
#[test]
fn a_writer_to_a_half_closed_peer_with_a_full_buffer_waits_and_does_not_go_round() {
    finishes(|| {
        run(async {
            let (client, peer) = pair_with_std().await;
            peer.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            let probe = Probe::new();
            let writes = spawn(probe.watch(async move {
                let endless = vec![0; 1 << 20];
                loop {
                    client.write_all(&endless).await.unwrap();
                }
            }));
            // Until the buffers are full, which takes a moment.
            let mut polls = 0;
            while polls != probe.polls() {
                polls = probe.polls();
                sleep(MILLISECOND * 20).await;
            }
            let this_thread = SystemThread::current();
            let (start, busy, events) =
                (Instant::now(), this_thread.busy_time(), Handle::current().metrics().io_events());
            sleep(MILLISECOND * 50).await;
            assert!(probe.polls() - polls <= 1);
            assert!(Handle::current().metrics().io_events() - events <= 1);
            if let (Some(before), Some(after)) = (busy, this_thread.busy_time()) {
                assert!(after - before < start.elapsed() / 2);
            }
            drop(writes);
        });
    });
}

#[test]
fn a_socket_that_is_always_ready_starves_neither_timers_nor_tasks() {
    finishes(|| {
        run(async {
            let (client, mut peer) = pair_with_std().await;
            let stops = Arc::new(AtomicBool::new(false));
            let stopped = stops.clone();
            let floods = thread::spawn(move || {
                let data = vec![0; 1 << 16];
                while !stopped.load(Ordering::Relaxed) && peer.write_all(&data).is_ok() {}
            });
            let received = Rc::new(Cell::new(0));
            let counted = received.clone();
            let reads = spawn(async move {
                let mut byte = [0; 16];
                while client.read(&mut byte).await.unwrap() > 0 {
                    counted.set(counted.get() + 1);
                }
            });
            for _ in 0..5 {
                sleep(MILLISECOND).await;
                spawn(yield_now()).await.unwrap();
            }
            while received.get() < 1000 {
                yield_now().await;
            }
            stops.store(true, Ordering::Relaxed);
            drop(reads); // and the socket with it, which ends a write that is blocked
            floods.join().unwrap();
        });
    });
}

// One poll of a task does a bounded number of operations, though each is ready at once.
#[test]
fn a_task_whose_socket_is_always_ready_lets_others_have_their_turn() {
    run(async {
        let (client, server) = pair().await;
        client.write_all(&[0; 10_000]).await.unwrap();
        server.peek(&mut [0; 10_000]).await.unwrap();
        let order = Rc::new(RefCell::new(Vec::new()));
        let readers_order = order.clone();
        let reads = spawn(async move {
            let mut byte = [0];
            for _ in 0..10_000 {
                server.read_exact(&mut byte).await.unwrap();
                readers_order.borrow_mut().push(0);
            }
        });
        let others_order = order.clone();
        let other = spawn(async move {
            loop {
                others_order.borrow_mut().push(1);
                yield_now().await;
            }
        });
        reads.await.unwrap();
        drop(other);
        let order = order.take();
        let longest = order.split(|who| *who == 1).map(<[i32]>::len).max().unwrap();
        assert!(longest <= 1000, "{longest} reads in one turn");
    });
}

#[test]
fn sockets_work_beside_a_virtual_clock() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let (client, server) = pair().await;
            let echoes = spawn(async move {
                let mut byte = [0];
                while server.read_exact(&mut byte).await.is_ok() {
                    server.write_all(&byte).await.unwrap();
                }
            });
            for byte in 0..100 {
                client.write_all(&[byte]).await.unwrap();
                let mut back = [0];
                client.read_exact(&mut back).await.unwrap();
                assert_eq!(back[0], byte);
                sleep(Duration::from_secs(3600)).await;
            }
            drop(client);
            echoes.await.unwrap();
        });
    });
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs a system that shows what descriptors are")]
fn no_descriptor_of_a_runtime_is_inherited_by_a_child_process() {
    alone("no_descriptor_of_a_runtime_is_inherited_by_a_child_process", || {
        run(async {
            let (_client, _server) = pair().await;
            let list =
                Command::new("ls").args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).output().unwrap();
            let here = std::fs::read_dir("/proc/self/fd").unwrap();
            let here: Vec<_> = here
                .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
                .map(|path| path.display().to_string())
                .collect();
            let selector = if cfg!(mio_unsupported_force_poll_poll) { None } else { Some("eventpoll") };
            let waker = if cfg!(mio_unsupported_force_waker_pipe) { None } else { Some("eventfd") };
            for kind in ["socket:"].into_iter().chain(selector).chain(waker) {
                assert!(here.iter().any(|link| link.contains(kind)), "{kind}: {here:?}");
                let list = String::from_utf8_lossy(&list.stdout);
                assert!(!list.contains(kind), "{kind}: {list}");
            }
        });
    });
}

// A process that is stopped and continued finds its wait for events interrupted, though it handles
// no signal.
#[test]
#[cfg_attr(not(unix), ignore = "needs a system that can stop processes")]
fn a_wait_for_events_that_a_signal_interrupts_goes_on() {
    let test = "a_wait_for_events_that_a_signal_interrupts_goes_on";
    if is_alone(test) {
        return finishes(|| {
            run(async {
                let (client, server) = pair().await;
                for _ in 0..10 {
                    let start = Instant::now();
                    sleep(MILLISECOND * 20).await;
                    assert!(start.elapsed() >= MILLISECOND * 20);
                    client.write_all(b"x").await.unwrap();
                    server.read_exact(&mut [0]).await.unwrap();
                }
                // For ever, but for the other thread.
                assert_eq!(spawn_blocking(|| thread::sleep(MILLISECOND * 20)).await.ok(), Some(()));
            });
        });
    }
    let mut child = command(test).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, first) = (child.id(), SystemThread::first_of(child.id()));
    // It is not awaited until it has ended, so its number is its own as long.
    while child.try_wait().unwrap().is_none() {
        if send_signal("STOP", id) {
            first.wait_until('T');
            send_signal("CONT", id);
        }
    }
    check(test, &child.wait_with_output().unwrap());
}
