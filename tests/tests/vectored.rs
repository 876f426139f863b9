//! Reading into and writing from many parts at once, by every way to do it.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::pin::Pin;

use gather::net::TcpStream;
#[cfg(unix)]
use gather::net::UnixStream;
use gather::run;
use gather_tests::watchdog::finishes;

/// The system takes 1,024 in one call.
const PARTS: usize = 3_000;
const PART: usize = 10;

/// A stream, and a thread's end of it.
async fn tcp() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().unwrap().0)
}

#[cfg(unix)]
fn unix() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    (UnixStream::from_std(here).unwrap(), there)
}

fn bytes() -> Vec<u8> {
    (0..PARTS * PART).map(|index| (index % 251) as u8).collect()
}

/// Writes all bytes in parts by `write`, while a thread reads them.
async fn check_writes(
    mut peer: impl Read + Send + 'static,
    mut write: impl AsyncFnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    end: impl FnOnce(),
) {
    let reader = std::thread::spawn(move || {
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        read
    });
    let bytes = bytes();
    let mut written = 0;
    while written < bytes.len() {
        let parts: Vec<_> = bytes[written..].chunks(PART).map(IoSlice::new).collect();
        written += write(&parts).await.unwrap();
    }
    end();
    assert_eq!(reader.join().unwrap(), bytes);
}

/// Reads all bytes in parts by `read`, while a thread writes them.
async fn check_reads(
    mut peer: impl Write + Send + 'static,
    mut read: impl AsyncFnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
) {
    // All are there before the first read, and more than one call can take.
    peer.write_all(&bytes()).unwrap();
    let mut all = vec![0; PARTS * PART];
    let mut count = 0;
    while count < all.len() {
        let mut parts: Vec<_> = all[count..].chunks_mut(PART).map(IoSliceMut::new).collect();
        count += read(&mut parts).await.unwrap();
    }
    assert!(all == bytes());
}

#[test]
fn a_stream_writes_three_thousand_parts() {
    finishes(|| {
        run(async {
            let (stream, peer) = tcp().await;
            let end = || stream.shutdown(Shutdown::Write).unwrap();
            check_writes(peer, async |parts| stream.write_vectored(parts).await, end).await;
            #[cfg(unix)]
            {
                let (stream, peer) = unix();
                let end = || stream.shutdown(Shutdown::Write).unwrap();
                check_writes(peer, async |parts| stream.write_vectored(parts).await, end).await;
            }
        });
    });
}

#[test]
fn a_stream_reads_into_three_thousand_parts() {
    finishes(|| {
        run(async {
            let (stream, peer) = tcp().await;
            check_reads(peer, async |parts| stream.read_vectored(parts).await).await;
            #[cfg(unix)]
            {
                let (stream, peer) = unix();
                check_reads(peer, async |parts| stream.read_vectored(parts).await).await;
            }
        });
    });
}

#[test]
fn the_traits_of_futures_write_and_read_three_thousand_parts() {
    use futures_lite::{AsyncRead, AsyncWrite};
    finishes(|| {
        run(async {
            let (stream, peer) = tcp().await;
            let end = || stream.shutdown(Shutdown::Write).unwrap();
            let write = async |parts: &[IoSlice<'_>]| {
                poll_fn(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut &stream), cx, parts)).await
            };
            check_writes(peer, write, end).await;
            let (stream, peer) = tcp().await;
            let read = async |parts: &mut [IoSliceMut<'_>]| {
                poll_fn(|cx| AsyncRead::poll_read_vectored(Pin::new(&mut &stream), cx, parts)).await
            };
            check_reads(peer, read).await;
        });
    });
}

#[test]
fn the_traits_of_tokio_and_of_hyper_write_three_thousand_parts() {
    finishes(|| {
        run(async {
            let (stream, peer) = tcp().await;
            let end = || stream.shutdown(Shutdown::Write).unwrap();
            let write = async |parts: &[IoSlice<'_>]| {
                use tokio::io::AsyncWrite;
                poll_fn(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut &stream), cx, parts)).await
            };
            check_writes(peer, write, end).await;
            let (stream, peer) = tcp().await;
            let end = || stream.shutdown(Shutdown::Write).unwrap();
            let write = async |parts: &[IoSlice<'_>]| {
                use hyper::rt::Write;
                poll_fn(|cx| Write::poll_write_vectored(Pin::new(&mut &stream), cx, parts)).await
            };
            check_writes(peer, write, end).await;
        });
    });
}

#[test]
fn empty_parts_at_the_beginning_are_no_end_of_the_stream() {
    finishes(|| {
        run(async {
            let (stream, mut peer) = tcp().await;
            peer.write_all(b"x").unwrap();
            let mut byte = [0];
            let mut parts: Vec<_> = (0..PARTS).map(|_| IoSliceMut::new(&mut [])).collect();
            parts.push(IoSliceMut::new(&mut byte));
            assert_eq!(stream.read_vectored(&mut parts).await.unwrap(), 1);
            assert_eq!(&byte, b"x");

            let mut parts = vec![IoSlice::new(&[]); PARTS];
            parts.push(IoSlice::new(b"y"));
            assert_eq!(stream.write_vectored(&parts).await.unwrap(), 1);
            peer.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"y");
            assert_eq!(stream.write_vectored(&vec![IoSlice::new(&[]); PARTS]).await.unwrap(), 0);
            assert_eq!(stream.read_vectored(&mut []).await.unwrap(), 0);
        });
    });
}

#[test]
fn parts_of_every_size_arrive_in_their_order() {
    finishes(|| {
        run(async {
            for sizes in
                [&[5, 100_000, 7, 16_384, 1][..], &[20_000, 20_000], &[16_383, 1, 1], &[0, 3, 0, 70_000, 0]]
            {
                let (stream, mut peer) = tcp().await;
                let parts: Vec<Vec<u8>> =
                    sizes.iter().enumerate().map(|(number, &size)| vec![number as u8; size]).collect();
                let expected = parts.concat();
                let reader = std::thread::spawn(move || {
                    let mut all = Vec::new();
                    peer.read_to_end(&mut all).unwrap();
                    all
                });
                let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
                let mut left = &mut slices[..];
                let mut count = expected.len();
                while count > 0 {
                    let written = stream.write_vectored(left).await.unwrap();
                    count -= written;
                    IoSlice::advance_slices(&mut left, written);
                }
                drop(stream);
                assert!(reader.join().unwrap() == expected, "{sizes:?}");
            }
        });
    });
}

/// Where SIGPIPE has its default action, as in a library inside a C program, a write must not
/// raise it.
#[test]
#[cfg(unix)]
fn a_write_to_a_peer_that_is_gone_is_an_error_where_sigpipe_would_end_the_process() {
    use gather_tests::alone::alone;
    alone("a_write_to_a_peer_that_is_gone_is_an_error_where_sigpipe_would_end_the_process", || {
        let on = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, on).unwrap();
        run(async {
            let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
            let (stream, peer) = unix();
            drop(peer);
            assert_eq!(stream.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(stream.write_vectored(&parts).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            let (stream, peer) = tcp().await;
            stream.shutdown(Shutdown::Write).unwrap();
            drop(peer);
            assert_eq!(stream.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(stream.write_vectored(&parts).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        });
    });
}
