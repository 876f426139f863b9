//! A stream of bytes: how TCP's and Unix's streams read and write.
//!
//! # Vectored writes
//!
//! The parts of a vectored write are copied into one buffer and sent by the same call as a plain
//! write. `writev` has no way to say that a peer who is gone shall not raise SIGPIPE, which ends a
//! program where that signal has its default action; and it takes at most 1,024 parts. Copying 16
//! KiB costs less than the system call that follows.
//!
//! Next: [`stream`](super::stream).

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::task::{Context, Poll};

use crate::compat::{BUFFER_SIZE, with_buffer};
use crate::readiness::Wait;
use crate::source::Source;

/// The most bytes that Linux moves in one call (`MAX_RW_COUNT`): a count of this says nothing of
/// what is left.
const MOST_BYTES: usize = 0x7fff_f000;
/// The most parts that Linux takes in one call (`UIO_MAXIOV`).
const MOST_PARTS: usize = 1024;

/// A socket that carries a stream of bytes.
pub(crate) trait ByteStream: mio::event::Source {
    /// Whether a read that fills less than its buffer has emptied the socket, as
    /// [`readiness`](crate::readiness) says.
    const SHORT_READ_EMPTIES: bool;
}

impl ByteStream for mio::net::TcpStream {
    const SHORT_READ_EMPTIES: bool = true;
}

/// A read stops in front of bytes that came with descriptors, also if nobody asks for these.
#[cfg(unix)]
impl ByteStream for mio::net::UnixStream {
    const SHORT_READ_EMPTIES: bool = false;
}

impl<S: ByteStream> Source<S>
where
    for<'a> &'a S: Read + Write,
{
    pub(crate) fn poll_read(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_by(cx, wait, buffer.len(), |mut stream| stream.read(buffer))
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        parts: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        // A call that offers only empty parts reads nothing, which would look like the end of the
        // stream.
        let empty = parts.iter().take_while(|part| part.is_empty()).count();
        let parts = &mut parts[empty..];
        let room = parts.iter().take(MOST_PARTS).map(|part| part.len()).sum();
        self.poll_read_by(cx, wait, room, |mut stream| stream.read_vectored(parts))
    }

    fn poll_read_by(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        room: usize,
        read: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0)); // the system would say that it has to wait
        }
        let room = room.min(MOST_BYTES);
        self.poll_io(cx, wait, read, |&count| S::SHORT_READ_EMPTIES && 0 < count && count < room)
    }

    pub(crate) fn poll_write(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = bytes.len().min(MOST_BYTES);
        self.poll_io(cx, wait, |mut stream| stream.write(bytes), |&count| count < length)
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let empty = parts.iter().take_while(|part| part.is_empty()).count();
        match &parts[empty..] {
            [] => self.poll_write(cx, wait, &[]),
            [part] => self.poll_write(cx, wait, part),
            [part, ..] if part.len() >= BUFFER_SIZE => self.poll_write(cx, wait, part),
            parts => with_buffer(parts.iter().map(|part| part.len()).sum(), |buffer| {
                let mut rest = &mut buffer[..];
                parts.iter().try_for_each(|part| rest.write_all(part)).ok(); // fails when the buffer is full
                self.poll_write(cx, wait, buffer)
            }),
        }
    }

    /// Reads into memory that is not initialised: through a buffer, from which `take` copies.
    #[cfg(any(feature = "tokio-io", feature = "hyper"))]
    pub(crate) fn poll_read_with(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        capacity: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        with_buffer(capacity, |buffer| {
            let count = std::task::ready!(self.poll_read(cx, wait, buffer))?;
            take(&buffer[..count]);
            Poll::Ready(Ok(()))
        })
    }
}
