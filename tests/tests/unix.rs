//! Unix sockets.

#![cfg(unix)]

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use futures_lite::future;
use gather::{
    Builder, UnixDatagram, UnixListener, UnixStream, gather, run, sleep, spawn, spawn_blocking, timeout,
};
use gather_tests::addresses::SocketPath;
use gather_tests::alone::{alone, alone_after};
use gather_tests::descriptors::open_descriptors;
use gather_tests::probe::{Probe, letters_are_read, poll_once, sockets_registered, some_turns};
use gather_tests::watchdog::finishes;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const MILLISECOND: Duration = Duration::from_millis(1);

// ---- streams

#[test]
fn both_ends_of_a_connection_exchange_data_and_know_where_they_are() {
    finishes(|| {
        run(async {
            let path = SocketPath::new();
            let listener = UnixListener::bind(&path).await.unwrap();
            assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_ref()));
            let client = UnixStream::connect(&path).await.unwrap();
            let (server, from) = listener.accept().await.unwrap();
            assert!(from.is_unnamed());
            assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_ref()));
            assert!(server.peer_addr().unwrap().is_unnamed());
            for (from, to) in [(&client, &server), (&server, &client)] {
                from.write_all(b"hello").await.unwrap();
                let mut hello = [0; 5];
                to.read_exact(&mut hello).await.unwrap();
                assert_eq!(&hello, b"hello");
            }
            assert!(client.take_error().unwrap().is_none());
            assert_eq!(sockets_registered(), 3);
            drop((client, server, listener));
            assert_eq!(sockets_registered(), 0);
            // The path stays, and nobody listens there; who wants it has to remove it.
            let error = UnixStream::connect(&path).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let error = UnixListener::bind(&path).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            std::fs::remove_file(&path).unwrap();
            let error = UnixStream::connect(&path).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert_eq!(sockets_registered(), 0);
        });
    });
}

#[test]
fn much_data_goes_both_ways_at_once_through_borrowed_streams() {
    const LENGTH: usize = 4 << 20;
    async fn sends(stream: &UnixStream) -> io::Result<usize> {
        let data: Vec<u8> = (0..LENGTH).map(|index| (index >> 3) as u8).collect();
        stream.write_all(&data).await?;
        stream.shutdown(Shutdown::Write)?;
        stream.shutdown(Shutdown::Write)?;
        Ok(LENGTH)
    }
    async fn receives(stream: &UnixStream) -> io::Result<usize> {
        let (mut received, mut buffer) = (0, vec![0; 50_000]);
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                break Ok(received);
            }
            assert!((received..).zip(&buffer[..count]).all(|(index, byte)| *byte == (index >> 3) as u8));
            received += count;
        }
    }
    finishes(|| {
        run(async {
            let (one, other) = UnixStream::pair().unwrap();
            let all = gather::gather!(sends(&one), receives(&one), sends(&other), receives(&other)).await;
            assert_eq!(all.unwrap(), (LENGTH, LENGTH, LENGTH, LENGTH));
        });
    });
}

// A read ends at bytes that a descriptor came with, also for one who does not ask for it.
#[test]
fn what_stands_behind_a_descriptor_is_read_though_the_read_before_it_was_short() {
    finishes(|| {
        run(async {
            let (peer, stream) = std::os::unix::net::UnixStream::pair().unwrap();
            let stream = UnixStream::from_std(stream).unwrap();
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptor = [peer.as_fd()];
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptor)));
            sendmsg(&peer, &[IoSlice::new(b"abc")], &mut control, SendFlags::empty()).unwrap();
            sendmsg(&peer, &[IoSlice::new(b"def")], &mut Default::default(), SendFlags::empty()).unwrap();
            sleep(MILLISECOND).await; // the loop looks at its sockets
            let mut buffer = [0; 64];
            let mut length = 0;
            while length < 6 {
                length += stream.read(&mut buffer[length..]).await.unwrap();
            }
            assert_eq!(&buffer[..6], b"abcdef");
        });
    });
}

#[test]
fn the_end_of_a_stream_is_seen_and_a_writer_learns_that_the_peer_has_gone() {
    finishes(|| {
        run(async {
            let (one, other) = UnixStream::pair().unwrap();
            let waits = spawn(async move { (one.read(&mut [0; 10]).await.unwrap(), one) });
            some_turns().await;
            other.write_all(b"abc").await.unwrap();
            let (length, one) = waits.await.unwrap();
            assert_eq!(length, 3);
            let waits = spawn(async move { (one.read(&mut [0; 10]).await.unwrap(), one) });
            some_turns().await;
            drop(other);
            let (length, one) = waits.await.unwrap();
            assert_eq!(length, 0);
            assert_eq!(one.read(&mut [0; 10]).await.unwrap(), 0);
            assert_eq!(one.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            let error = one.read_exact(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    });
}

// The queue is full, which no event tells of; when it has room, no event tells of that either.
#[test]
fn who_connects_to_a_listener_with_a_full_queue_waits_and_gets_in() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let path = SocketPath::new();
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
            socket.listen(0).unwrap();
            let listener = UnixListener::from_std(OwnedFd::from(socket).into()).unwrap();
            let mut connected = Vec::new();
            while let Ok(stream) = timeout(MILLISECOND * 500, UnixStream::connect(&path)).await {
                connected.push(stream.unwrap());
                assert!(connected.len() < 10, "the queue has no end");
            }
            assert_eq!(sockets_registered(), connected.len() + 1);
            let connects = spawn(async move { (UnixStream::connect(&path).await.unwrap(), path) });
            sleep(MILLISECOND * 500).await;
            assert!(!connects.is_finished());
            for _ in 0..=connected.len() {
                listener.accept().await.unwrap();
            }
            connects.await.unwrap();
        });
    });
}

#[test]
fn a_connection_that_could_not_be_accepted_for_want_of_descriptors_is_accepted_later() {
    let test = "a_connection_that_could_not_be_accepted_for_want_of_descriptors_is_accepted_later";
    alone_after("ulimit -n 40", test, || {
        run(async {
            let path = SocketPath::new();
            let listener = UnixListener::bind(&path).await.unwrap();
            assert!(timeout(MILLISECOND, listener.accept()).await.is_err());
            let client = UnixStream::connect(&path).await.unwrap();
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
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut [0]).await.unwrap();
        });
    });
}

#[test]
fn connections_that_come_together_are_accepted_one_by_one() {
    finishes(|| {
        run(async {
            let path = SocketPath::new();
            let listener = UnixListener::bind(&path).await.unwrap();
            let clients = gather((0..20).map(|_| UnixStream::connect(&path))).await.unwrap();
            for _ in &clients {
                listener.accept().await.unwrap();
                sleep(MILLISECOND).await; // other events come in between
            }
            assert!(timeout(MILLISECOND, listener.accept()).await.is_err());
        });
    });
}

// ---- datagrams

#[test]
fn datagrams_come_whole_and_in_order_with_the_path_of_their_sender() {
    finishes(|| {
        run(async {
            let [path, other_path] = [SocketPath::new(), SocketPath::new()];
            let server = UnixDatagram::bind(&path).await.unwrap();
            let client = UnixDatagram::bind(&other_path).await.unwrap();
            for datagram in [&b"one"[..], b"", b"three"] {
                assert_eq!(client.send_to(datagram, &path).await.unwrap(), datagram.len());
            }
            let mut buffer = [0; 4];
            for length in [3, 0, 4] {
                let (received, from) = server.recv_from(&mut buffer).await.unwrap();
                assert_eq!(received, length, "and what does not fit is lost");
                assert_eq!(from.as_pathname(), Some(other_path.as_ref()));
            }
            assert!(timeout(MILLISECOND, server.recv(&mut buffer)).await.is_err());

            let nameless = UnixDatagram::unbound().unwrap();
            assert_eq!(nameless.send(b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
            nameless.connect(&path).await.unwrap();
            assert_eq!(nameless.peer_addr().unwrap().as_pathname(), Some(path.as_ref()));
            nameless.send(b"hi").await.unwrap();
            let (received, from) = server.recv_from(&mut buffer).await.unwrap();
            assert!(received == 2 && from.is_unnamed());

            drop(server);
            let error = client.send_to(b"x", &path).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let error = client.send_to(b"x", SocketPath::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        });
    });
}

#[test]
fn a_pair_of_datagram_sockets_waits_for_room_and_goes_on_when_there_is() {
    finishes(|| {
        run(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let (probe, datagram) = (Probe::new(), [7; 1000]);
            let sends = spawn(probe.watch(async move {
                for _ in 0..2000 {
                    one.send(&datagram).await.unwrap();
                }
                one.shutdown(Shutdown::Both).unwrap();
            }));
            sleep(MILLISECOND * 5).await;
            assert!(!sends.is_finished(), "the system keeps two megabytes");
            for _ in 0..2000 {
                assert_eq!(other.recv(&mut [0; 2000]).await.unwrap(), 1000);
            }
            sends.await.unwrap();
        });
    });
}

// The receiver's queue is full of another's datagrams, so none of the sender's own makes room, and
// an event, by being received; but each failed attempt makes an event.
#[test]
fn who_sends_to_a_path_whose_queue_others_have_filled_waits_and_gets_through() {
    for is_connected in [false, true] {
        finishes(move || {
            run(async move {
                let path = SocketPath::new();
                let server = UnixDatagram::bind(&path).await.unwrap();
                let other = UnixDatagram::unbound().unwrap();
                let mut queued = 0;
                while timeout(MILLISECOND * 100, other.send_to(b"other", &path)).await.is_ok() {
                    queued += 1;
                    assert!(queued < 10_000, "the queue has no end");
                }
                let probe = Probe::new();
                let sends = spawn(probe.watch(async move {
                    let client = UnixDatagram::unbound().unwrap();
                    if is_connected {
                        client.connect(&path).await.unwrap();
                        client.send(b"mine").await.unwrap();
                    } else {
                        client.send_to(b"mine", &path).await.unwrap();
                    }
                    (client, path)
                }));
                sleep(MILLISECOND * 200).await;
                assert!(!sends.is_finished());
                assert!(probe.polls() < 20, "it goes round: {} polls", probe.polls());
                for _ in 0..queued {
                    assert_eq!(server.recv(&mut [0; 100]).await.unwrap(), 5);
                }
                assert_eq!(server.recv(&mut [0; 100]).await.unwrap(), 4);
                sends.await.unwrap();
            });
        });
    }
}

// ---- threads, and what is left

#[test]
fn sockets_come_from_the_standard_library_and_go_back_to_it() {
    use std::os::unix::net;
    finishes(|| {
        run(async {
            let path = SocketPath::new();
            let listener = UnixListener::from_std(net::UnixListener::bind(&path).unwrap()).unwrap();
            let client = net::UnixStream::connect(&path).unwrap();
            let client = UnixStream::from_std(client).unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(b"x").await.unwrap();
            // What was there before it came is found.
            let server = UnixStream::from_std(server.into_std().unwrap()).unwrap();
            server.read_exact(&mut [0]).await.unwrap();
            let listener = listener.into_std().unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);

            let (one, other) = net::UnixDatagram::pair().unwrap();
            one.send(b"hello").unwrap();
            let other = UnixDatagram::from_std(other).unwrap();
            assert_eq!(other.recv(&mut [0; 10]).await.unwrap(), 5);
            let other = other.into_std().unwrap();
            assert_eq!(other.recv(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(sockets_registered(), 2);
        });
    });
}

#[test]
fn a_stream_may_be_used_and_dropped_on_another_thread() {
    finishes(|| {
        run(async {
            let (here, there) = UnixStream::pair().unwrap();
            let thread = thread::spawn(move || {
                future::block_on(async {
                    let mut received = vec![0; 1 << 20];
                    there.read_exact(&mut received).await.unwrap();
                    there.write_all(&received).await.unwrap();
                });
            });
            let data: Vec<u8> = (0..1 << 20).map(|index| (index >> 5) as u8).collect();
            here.write_all(&data).await.unwrap();
            let mut back = vec![0; data.len()];
            here.read_exact(&mut back).await.unwrap();
            assert!(back == data);
            spawn_blocking(|| thread.join().unwrap()).await.unwrap();
            letters_are_read().await;
            assert_eq!(sockets_registered(), 1);
        });
    });
}

#[test]
fn sockets_leave_no_descriptors_open() {
    alone("sockets_leave_no_descriptors_open", || {
        run(async {
            let before = open_descriptors();
            for _ in 0..200 {
                let path = SocketPath::new();
                let listener = UnixListener::bind(&path).await.unwrap();
                let _client = UnixStream::connect(&path).await.unwrap();
                listener.accept().await.unwrap();
                assert!(UnixListener::bind(&path).await.is_err());
                drop(listener);
                assert!(UnixStream::connect(&path).await.is_err());
                let (one, _other) = UnixDatagram::pair().unwrap();
                let mut byte = [0];
                let mut receives = Box::pin(one.recv(&mut byte));
                let _ = poll_once(&mut receives, Waker::noop());
            }
            assert_eq!(open_descriptors(), before);
        });
    });
}
