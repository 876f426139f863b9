//! A stream of bytes: how TCP's and Unix's streams read and write.
//!
//! Next: [`stream`](super::stream).

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::task::{Context, Poll};

use crate::source::{Direction, Source};

/// A socket that carries a stream of bytes.
pub(crate) trait ByteStream: mio::event::Source {
    /// Whether a read that fills less than its buffer has emptied the socket, as [`source`](crate::source) says.
    const SHORT_READ_EMPTIES: bool;
}

impl ByteStream for mio::net::TcpStream {
    const SHORT_READ_EMPTIES: bool = true;
}

/// A read ends early at bytes that came with descriptors, whoever asks for these, and more may stand behind.
#[cfg(unix)]
impl ByteStream for mio::net::UnixStream {
    const SHORT_READ_EMPTIES: bool = false;
}

impl<S: ByteStream> Source<S>
where
    for<'a> &'a S: Read + Write,
{
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_by(cx, buffer.len(), |mut stream| stream.read(buffer))
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        parts: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = parts.iter().map(|part| part.len()).sum();
        self.poll_read_by(cx, room, |mut stream| stream.read_vectored(parts))
    }

    fn poll_read_by(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        mut read: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0)); // the system would say that it has to wait
        }
        self.poll_transfer(cx, Direction::Read, |stream| {
            let count = read(stream)?;
            Ok((count, S::SHORT_READ_EMPTIES && 0 < count && count < room))
        })
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_by(cx, bytes.len(), |mut stream| stream.write(bytes))
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        self.poll_write_by(cx, length, |mut stream| stream.write_vectored(parts))
    }

    fn poll_write_by(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        mut write: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_transfer(cx, Direction::Write, |stream| {
            let count = write(stream)?;
            Ok((count, count < length))
        })
    }

    /// Reads into a buffer of the runtime and gives what was read to `take`, which copies it where it belongs. For
    /// callers whose own memory is not initialised: copying what was read costs less than clearing the memory
    /// that might be.
    #[cfg(any(feature = "tokio-io", feature = "hyper"))]
    pub(crate) fn poll_read_with(
        &self,
        cx: &mut Context<'_>,
        capacity: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        crate::compat::with_buffer(capacity, |buffer| {
            let count = std::task::ready!(self.poll_read(cx, buffer))?;
            take(&buffer[..count]);
            Poll::Ready(Ok(()))
        })
    }
}
