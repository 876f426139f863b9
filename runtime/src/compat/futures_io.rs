//! `AsyncRead` and `AsyncWrite` of `futures-io`, for the streams and for references to them.
//!
//! Next: [`tokio_io`](super::tokio_io).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::net::TcpStream;
#[cfg(unix)]
use crate::net::UnixStream;
use crate::source::Direction;

macro_rules! futures_io {
    ($($stream:ty),*) => {$(
        #[cfg(feature = "futures-io")]
        impl AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.source.poll_read(cx, &mut self.source.poll_wait(Direction::Read), buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                parts: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.source.poll_read_vectored(cx, &mut self.source.poll_wait(Direction::Read), parts)
            }
        }

        #[cfg(feature = "futures-io")]
        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.source.poll_write(cx, &mut self.source.poll_wait(Direction::Write), bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                parts: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.source.poll_write_vectored(cx, &mut self.source.poll_wait(Direction::Write), parts)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(())) // nothing is kept back
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown(Shutdown::Write))
            }
        }
    )*};
}

futures_io!(TcpStream, &TcpStream);
#[cfg(unix)]
futures_io!(UnixStream, &UnixStream);
