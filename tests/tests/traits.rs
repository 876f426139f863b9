//! The traits of other libraries on the streams, and what those libraries ask of a socket.

#![cfg(unix)]

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gather::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, gather, run, timeout,
};
use gather_tests::addresses::{HERE, SocketPath};
use gather_tests::alone::alone;
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;

const MILLISECOND: Duration = Duration::from_millis(1);

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(HERE).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Runs a check of a trait with streams of both kinds, by value and by reference.
macro_rules! with_all_streams {
    ($check:ident) => {
        finishes(|| {
            run(async {
                let (one, other) = tcp().await;
                $check(&one, &other).await;
                let (one, other) = tcp().await;
                $check(one, other).await;
                let (one, other) = UnixStream::pair().unwrap();
                $check(&one, &other).await;
                let (one, other) = UnixStream::pair().unwrap();
                $check(one, other).await;
            });
        })
    };
}

/// More than a system keeps for one stream.
const MUCH: usize = 8 << 20;

#[test]
fn streams_and_references_to_them_have_the_traits_of_futures() {
    use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    async fn check(
        mut one: impl AsyncRead + AsyncWrite + Unpin,
        mut other: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let data = vec![7; MUCH];
        let mut received = vec![0; MUCH];
        let (written, read) =
            gather::gather!(capture; one.write_all(&data), other.read_exact(&mut received)).await;
        written.unwrap();
        read.unwrap();
        assert!(received == data);

        let parts = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
        assert_eq!(one.write_vectored(&parts).await.unwrap(), 5);
        let (mut first, mut second) = ([0; 1], [0; 2]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(other.read_vectored(&mut parts).await.unwrap(), 3);
        assert_eq!((&first, &second), (b"h", b"el"));
        one.flush().await.unwrap();
        one.close().await.unwrap();
        let mut text = String::new();
        other.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "lo");
        assert!(timeout(MILLISECOND, one.read(&mut [0])).await.is_err(), "only one direction is closed");
    }
    with_all_streams!(check);
}

#[test]
fn streams_and_references_to_them_have_the_traits_of_tokio() {
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    async fn check(
        mut one: impl AsyncRead + AsyncWrite + Unpin,
        mut other: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let data = vec![7; MUCH];
        let mut received = vec![0; MUCH];
        let (written, read) =
            gather::gather!(capture; one.write_all(&data), other.read_exact(&mut received)).await;
        written.unwrap();
        read.unwrap();
        assert!(received == data);

        assert!(one.is_write_vectored());
        let parts = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
        assert_eq!(one.write_vectored(&parts).await.unwrap(), 5);
        // What is in the buffer before stays there.
        let mut buffer = b"say ".to_vec();
        other.read_buf(&mut buffer).await.unwrap();
        assert_eq!(buffer, b"say hello");
        one.flush().await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(other.read_to_end(&mut buffer).await.unwrap(), 0);
        assert!(timeout(MILLISECOND, one.read(&mut [0])).await.is_err(), "only one direction is closed");
    }
    with_all_streams!(check);
}

#[test]
fn streams_and_references_to_them_have_the_traits_of_hyper() {
    use hyper::rt::{Read, ReadBuf, Write};
    async fn read(stream: &mut (impl Read + Unpin), buffer: &mut [u8]) -> usize {
        let mut buffer = ReadBuf::new(buffer);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buffer.unfilled())).await.unwrap();
        buffer.filled().len()
    }
    async fn check(mut one: impl Read + Write + Unpin, mut other: impl Read + Write + Unpin) {
        let mut buffer = [0; 100];
        assert!(timeout(MILLISECOND, read(&mut other, &mut buffer)).await.is_err());
        assert!(one.is_write_vectored());
        let parts = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
        let count = poll_fn(|cx| Pin::new(&mut one).poll_write_vectored(cx, &parts)).await.unwrap();
        assert_eq!(count, 5);
        assert_eq!(read(&mut other, &mut buffer).await, 5);
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(poll_fn(|cx| Pin::new(&mut other).poll_write(cx, b"bye")).await.unwrap(), 3);
        assert_eq!(read(&mut one, &mut buffer[..2]).await, 2);
        assert_eq!(read(&mut one, &mut buffer).await, 1);
        poll_fn(|cx| Pin::new(&mut one).poll_flush(cx)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut one).poll_shutdown(cx)).await.unwrap();
        assert_eq!(read(&mut other, &mut buffer).await, 0);
    }
    with_all_streams!(check);
}

#[test]
fn two_references_are_the_two_halves_of_a_stream() {
    use tokio::io::copy;
    finishes(|| {
        run(async {
            let (client, server) = UnixStream::pair().unwrap();
            let (reader, writer) = (&server, &server);
            let echo = async {
                copy(&mut { reader }, &mut { writer }).await?;
                server.shutdown(std::net::Shutdown::Write)
            };
            let asks = async {
                client.write_all(b"hello").await?;
                client.shutdown(std::net::Shutdown::Write)
            };
            let hears = async {
                let mut hello = [0; 5];
                client.read_exact(&mut hello).await?;
                assert_eq!(&hello, b"hello");
                Ok(())
            };
            gather::gather!(echo, asks, hears).await.unwrap();
        });
    });
}

// Protocol libraries keep sockets in structures that go to other threads.
#[test]
fn sockets_and_what_they_wait_for_may_go_to_other_threads() {
    fn is_send<T: Send>(_: T) {}
    fn are_send_and_sync<T: Send + Sync + Unpin + std::os::fd::AsFd + std::os::fd::AsRawFd>() {}
    are_send_and_sync::<TcpListener>();
    are_send_and_sync::<TcpStream>();
    are_send_and_sync::<UdpSocket>();
    are_send_and_sync::<UnixListener>();
    are_send_and_sync::<UnixStream>();
    are_send_and_sync::<UnixDatagram>();
    finishes(|| {
        run(async {
            let (stream, listener) = (tcp().await.0, TcpListener::bind(HERE).await.unwrap());
            is_send(stream.read(&mut [0]));
            is_send(stream.write_all(b"x"));
            is_send(listener.accept());
            is_send(TcpStream::connect("localhost:80"));
            let path = SocketPath::new();
            is_send(UnixStream::connect(&path));
            let (udp, unix) = (UdpSocket::bind(HERE).await.unwrap(), UnixDatagram::unbound().unwrap());
            is_send(udp.send_to(b"x", "localhost:80"));
            is_send(udp.recv_from(&mut [0]));
            is_send(unix.send_to(b"x", &path));
            is_send(gather([unix.recv(&mut [0])]));
        });
    });
}

// A panic in the destructor of a thread-local ends the process.
#[test]
fn a_run_in_the_destructor_of_a_thread_local_reads_through_the_traits_too() {
    thread_local! {
        static AT_THE_END: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
    }
    async fn reads() {
        let (one, other) = UnixStream::pair().unwrap();
        let mut read = [0];
        one.write_all(&[7]).await.unwrap();
        tokio::io::AsyncReadExt::read(&mut &other, &mut read).await.unwrap();
        assert_eq!(read, [7]);
        one.write_all(&[8]).await.unwrap();
        let mut buffer = hyper::rt::ReadBuf::new(&mut read);
        poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut &other), cx, buffer.unfilled())).await.unwrap();
        assert_eq!(buffer.filled(), [8]);
    }
    alone("a_run_in_the_destructor_of_a_thread_local_reads_through_the_traits_too", || {
        // The order decides which destructor runs first, if both have one.
        for read_before in [false, true] {
            let (ended, ends) = mpsc::channel();
            let thread = thread::spawn(move || {
                if read_before {
                    run(reads());
                }
                AT_THE_END.set(Some(Box::new(on_drop(move || {
                    run(reads());
                    ended.send(()).unwrap();
                }))));
                run(reads());
            });
            thread.join().unwrap();
            ends.recv().unwrap();
        }
    });
}
