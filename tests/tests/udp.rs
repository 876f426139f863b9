//! UDP sockets.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::future;
use gather::{UdpSocket, gather, run, sleep, spawn, timeout, yield_now};
use gather_tests::addresses::HERE;
use gather_tests::alone::alone;
use gather_tests::children::counting_waker;
use gather_tests::descriptors::open_descriptors;
use gather_tests::probe::{Probe, letters_are_read, poll_once, sockets_registered, some_turns};
use gather_tests::watchdog::finishes;

const MILLISECOND: Duration = Duration::from_millis(1);

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(HERE).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn a_datagram_comes_with_the_address_of_its_sender_and_an_answer_finds_it() {
    finishes(|| {
        run(async {
            let [(server, at), (client, from)] = [bound().await, bound().await];
            let mut buffer = [0; 100];
            assert_eq!(client.send_to(b"ping", at).await.unwrap(), 4);
            assert_eq!(server.recv_from(&mut buffer).await.unwrap(), (4, from));
            assert_eq!(&buffer[..4], b"ping");
            // An address may be written in many ways.
            for address in [from.to_string(), format!("localhost:{}", from.port())] {
                server.send_to(b"pong!", address).await.unwrap();
                assert_eq!(client.recv_from(&mut buffer).await.unwrap(), (5, at));
            }
            assert!(server.send_to(b"", "nonsense").await.is_err());
            assert_eq!(sockets_registered(), 2);
            drop((server, client));
            assert_eq!(sockets_registered(), 0);
        });
    });
}

#[test]
fn each_datagram_comes_whole_and_what_does_not_fit_is_lost() {
    finishes(|| {
        run(async {
            let [(server, at), (client, _)] = [bound().await, bound().await];
            client.connect(at).await.unwrap();
            let long = vec![7; 20_000];
            for datagram in [&b"one"[..], b"", b"three", &long, b"last"] {
                assert_eq!(client.send(datagram).await.unwrap(), datagram.len());
            }
            let mut buffer = [0; 100];
            let mut lengths = Vec::new();
            for _ in 0..5 {
                lengths.push(server.recv(&mut buffer).await.unwrap());
            }
            assert_eq!(lengths, [3, 0, 5, 100, 4]);
            // A short datagram was no sign that there are no more; now there are none.
            assert!(timeout(MILLISECOND, server.recv(&mut buffer)).await.is_err());
            let too_long = vec![0; 70_000];
            assert!(client.send(&too_long).await.is_err());
            client.send(b"after an error").await.unwrap();
            assert_eq!(server.recv(&mut buffer).await.unwrap(), 14);
        });
    });
}

#[test]
fn a_socket_that_is_connected_receives_from_there_only() {
    finishes(|| {
        run(async {
            let [(server, at), (client, from), (stranger, _)] = [bound().await, bound().await, bound().await];
            assert_eq!(client.peer_addr().unwrap_err().kind(), io::ErrorKind::NotConnected);
            assert!(
                client.send(b"x").await.unwrap_err().raw_os_error().is_some(),
                "it has nobody to send to"
            );
            client.connect(at).await.unwrap();
            assert_eq!(client.peer_addr().unwrap(), at);
            stranger.send_to(b"stranger", from).await.unwrap();
            server.send_to(b"server", from).await.unwrap();
            let mut buffer = [0; 100];
            assert_eq!(client.recv_from(&mut buffer).await.unwrap(), (6, at));
            assert!(timeout(MILLISECOND, client.recv(&mut buffer)).await.is_err());
        });
    });
}

#[test]
fn a_peek_leaves_the_datagram_where_it_is() {
    finishes(|| {
        run(async {
            let [(server, at), (client, from)] = [bound().await, bound().await];
            let mut buffer = [0; 100];
            assert!(timeout(MILLISECOND, server.peek_from(&mut buffer)).await.is_err());
            client.send_to(b"hello", at).await.unwrap();
            for _ in 0..3 {
                assert_eq!(server.peek_from(&mut buffer).await.unwrap(), (5, from));
                assert_eq!(server.peek(&mut buffer[..2]).await.unwrap(), 2);
            }
            assert_eq!(server.recv(&mut buffer).await.unwrap(), 5);
            assert!(timeout(MILLISECOND, server.peek(&mut buffer)).await.is_err());
        });
    });
}

// The system says so to the next who asks.
#[test]
fn a_datagram_that_is_refused_is_an_error_and_the_socket_goes_on() {
    finishes(|| {
        run(async {
            let (client, from) = bound().await;
            let (closed, at) = bound().await;
            drop(closed);
            client.connect(at).await.unwrap();
            client.send(b"anybody there?").await.unwrap();
            let error = client.recv(&mut [0; 100]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let server = UdpSocket::bind(at).await.unwrap();
            client.send(b"hello").await.unwrap();
            assert_eq!(server.recv_from(&mut [0; 100]).await.unwrap(), (5, from));
        });
    });
}

#[test]
fn dropping_a_receive_that_waits_loses_no_datagram() {
    finishes(|| {
        run(async {
            let [(server, at), (client, _)] = [bound().await, bound().await];
            for round in 0..20 {
                let mut byte = [0];
                assert!(timeout(MILLISECOND, server.recv(&mut byte)).await.is_err());
                client.send_to(&[round], at).await.unwrap();
                assert_eq!(server.recv(&mut byte).await.unwrap(), 1);
                assert_eq!(byte[0], round);
            }
        });
    });
}

#[test]
fn one_may_wait_to_receive_while_others_send_through_the_same_socket() {
    finishes(|| {
        run(async {
            let [(server, at), (client, _)] = [bound().await, bound().await];
            let [server, client] = [server, client].map(Arc::new);
            let echoes = spawn(async move {
                let mut buffer = [0; 100];
                loop {
                    let (length, from) = server.recv_from(&mut buffer).await.unwrap();
                    server.send_to(&buffer[..length], from).await.unwrap();
                }
            });
            let receives = spawn({
                let client = client.clone();
                async move {
                    let mut seen = [false; 50];
                    while seen.contains(&false) {
                        let mut byte = [0];
                        client.recv(&mut byte).await.unwrap();
                        seen[usize::from(byte[0])] = true;
                    }
                }
            });
            some_turns().await;
            let sends = (0..50).map(|number| {
                let client = &client;
                async move { client.send_to(&[number], at).await }
            });
            assert_eq!(gather(sends).await.unwrap(), [1; 50]);
            receives.await.unwrap();
            drop(echoes);
        });
    });
}

// One poll of a task does a bounded number of operations, though each is ready at once.
#[test]
fn a_task_that_always_may_send_lets_others_have_their_turn() {
    finishes(|| {
        run(async {
            let [(_server, at), (client, _)] = [bound().await, bound().await];
            let probe = Probe::new();
            let sends = spawn(probe.watch(async move {
                for _ in 0..10_000 {
                    client.send_to(b"x", at).await.unwrap();
                }
            }));
            let mut turns = 0;
            while !sends.is_finished() {
                yield_now().await;
                turns += 1;
            }
            assert!(probe.polls() >= 10 && turns >= 10, "{} polls, {turns} turns", probe.polls());
        });
    });
}

#[test]
fn who_polls_to_receive_last_is_woken_and_pending_polls_take_nothing() {
    finishes(|| {
        run(async {
            let [(server, at), (client, from)] = [bound().await, bound().await];
            let [(first, one), (last, other)] = [counting_waker(), counting_waker()];
            let mut buffer = [0; 100];
            for waker in [one, other] {
                let mut cx = Context::from_waker(&waker);
                assert!(server.poll_recv_from(&mut cx, &mut buffer).is_pending());
            }
            let sends = poll_fn(|cx| client.poll_send_to(cx, b"hello", at)).await;
            assert_eq!((sends.unwrap(), buffer), (5, [0; 100]));
            while last.get() == 0 {
                yield_now().await;
            }
            assert_eq!((first.get(), last.get()), (0, 1));
            let received = poll_fn(|cx| server.poll_recv_from(cx, &mut buffer)).await;
            assert_eq!((received.unwrap(), &buffer[..5]), ((5, from), &b"hello"[..]));
        });
    });
}

#[test]
fn polls_to_send_in_a_row_come_to_a_pending_one_that_has_sent_nothing_and_wakes() {
    finishes(|| {
        run(async {
            let [(server, at), (client, _)] = [bound().await, bound().await];
            let (woken, waker) = counting_waker();
            let mut cx = Context::from_waker(&waker);
            let mut sent = 0;
            while let Poll::Ready(result) = client.poll_send_to(&mut cx, b"x", at) {
                assert_eq!(result.unwrap(), 1);
                sent += 1;
                assert!(sent < 100_000, "it never lets others have their turn");
            }
            assert_eq!(woken.get(), 1);
            // The waker is not the runtime's, so whoever polls with it decides when to stop.
            assert!(matches!(client.poll_send_ready(&mut cx), Poll::Ready(Ok(()))));
            let mut byte = [0];
            for _ in 0..sent {
                assert_eq!(server.recv(&mut byte).await.unwrap(), 1);
            }
            assert!(timeout(MILLISECOND, server.recv(&mut byte)).await.is_err());
        });
    });
}

#[test]
fn polls_of_a_socket_whose_runtime_has_ended_give_an_error() {
    finishes(|| {
        let runtime = gather::Runtime::new().unwrap();
        let (socket, at) = runtime.block_on(bound());
        drop(runtime);
        let mut cx = Context::from_waker(Waker::noop());
        let receives = socket.poll_recv_from(&mut cx, &mut [0]).map_ok(drop);
        let sends = socket.poll_send_to(&mut cx, b"x", at).map_ok(drop);
        for polled in [receives, sends, socket.poll_send_ready(&mut cx)] {
            let Poll::Ready(Err(error)) = polled else { panic!("{polled:?}") };
            assert_eq!(error.to_string(), "the runtime of this socket has ended");
        }
    });
}

#[test]
fn sockets_come_from_the_standard_library_and_go_back_to_it() {
    finishes(|| {
        run(async {
            let socket = std::net::UdpSocket::bind(HERE).unwrap();
            let at = socket.local_addr().unwrap();
            let (client, _) = bound().await;
            client.send_to(b"before it came", at).await.unwrap();
            let socket = UdpSocket::from_std(socket).unwrap();
            let mut buffer = [0; 100];
            assert_eq!(socket.recv(&mut buffer).await.unwrap(), 14);
            let socket = socket.into_std().unwrap();
            assert_eq!(sockets_registered(), 1);
            assert_eq!(socket.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn the_options_of_the_system_are_set_and_told() {
    finishes(|| {
        run(async {
            let (socket, _) = bound().await;
            socket.set_broadcast(true).unwrap();
            assert!(socket.broadcast().unwrap());
            socket.set_ttl(33).unwrap();
            assert_eq!(socket.ttl().unwrap(), 33);
            socket.set_multicast_ttl_v4(3).unwrap();
            assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
            socket.set_multicast_loop_v4(false).unwrap();
            assert!(!socket.multicast_loop_v4().unwrap());
            assert!(socket.take_error().unwrap().is_none());
            assert!(format!("{socket:?}").contains("127.0.0.1"));
            // Not every machine that runs tests has it.
            let Ok(socket) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await else { return };
            socket.set_multicast_loop_v6(false).unwrap();
            assert!(!socket.multicast_loop_v6().unwrap());
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);
            if socket.join_multicast_v6(&group, 0).is_ok() {
                socket.leave_multicast_v6(&group, 0).unwrap();
            }
        });
    });
}

#[test]
fn who_has_joined_a_group_gets_what_is_sent_to_it_until_it_leaves() {
    finishes(|| {
        run(async {
            let group = Ipv4Addr::new(224, 0, 0, 123);
            let member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
            let port = member.local_addr().unwrap().port();
            member.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
            let sender = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
            let sender = UdpSocket::from_std(sender.into()).unwrap();
            sender.send_to(b"all", (group, port)).await.unwrap();
            assert_eq!(member.recv(&mut [0; 100]).await.unwrap(), 3);
            member.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
            assert!(member.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_err());
            sender.send_to(b"all", (group, port)).await.unwrap();
            // What is sent to itself comes after it.
            sender.send_to(b"only", (Ipv4Addr::LOCALHOST, port)).await.unwrap();
            assert_eq!(member.recv(&mut [0; 100]).await.unwrap(), 4);
        });
    });
}

#[test]
fn a_socket_may_be_used_and_dropped_on_another_thread() {
    finishes(|| {
        run(async {
            let [(server, at), (client, _)] = [bound().await, bound().await];
            let thread = thread::spawn(move || {
                let mut buffer = [0; 100];
                future::block_on(async {
                    let (length, from) = server.recv_from(&mut buffer).await.unwrap();
                    server.send_to(&buffer[..length], from).await.unwrap();
                });
            });
            client.send_to(b"hello", at).await.unwrap();
            assert_eq!(client.recv(&mut [0; 100]).await.unwrap(), 5);
            thread.join().unwrap();
            letters_are_read().await;
            assert_eq!(sockets_registered(), 1);
        });
    });
}

#[test]
fn a_receive_whose_runtime_has_ended_gives_an_error() {
    finishes(|| {
        let runtime = gather::Runtime::new().unwrap();
        let (socket, _) = runtime.block_on(bound());
        let mut buffer = [0; 100];
        let mut receives = Box::pin(socket.recv(&mut buffer));
        assert!(poll_once(&mut receives, Waker::noop()).is_pending());
        drop(runtime);
        let error = future::block_on(receives).unwrap_err();
        assert_eq!(error.to_string(), "the runtime of this socket has ended");
    });
}

#[test]
fn sockets_leave_no_descriptors_open() {
    alone("sockets_leave_no_descriptors_open", || {
        run(async {
            let before = open_descriptors();
            for _ in 0..200 {
                let (socket, at) = bound().await;
                assert!(UdpSocket::bind(at).await.is_err());
                socket.send_to(b"x", at).await.unwrap();
                let mut byte = [0];
                let mut receives = Box::pin(socket.recv(&mut byte));
                let _ = poll_once(&mut receives, Waker::noop());
                drop(receives);
                drop(socket.into_std().unwrap());
            }
            sleep(MILLISECOND).await;
            assert_eq!(open_descriptors(), before);
        });
    });
}
