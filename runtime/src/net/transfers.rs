//! The methods by which several kinds of sockets transfer bytes and datagrams, written once: see
//! [`methods`](super::methods).
//!
//! Next: [`bytes`](super::bytes).

/// What a stream of bytes has.
macro_rules! stream {
    ($stream:ident, $address:ty) => {
        impl $stream {
            /// Reads what there is, at most as much as fits, and gives the number of bytes: 0 at
            /// the end of the stream, or if the buffer is empty. Dropping the future loses no
            /// data.
            ///
            /// # Errors
            ///
            /// What the system says, such as `ConnectionReset`; or that the socket's runtime has
            /// ended.
            pub async fn read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let mut wait = self.source.wait(Direction::Read);
                std::future::poll_fn(|cx| self.source.poll_read(cx, &mut wait, buffer)).await
            }

            /// Fills the buffer.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` if the stream ends first. What was read until then, or until the
            /// future is dropped, is in the buffer, and how much that is, is not known.
            pub async fn read_exact(&self, mut buffer: &mut [u8]) -> std::io::Result<()> {
                while !buffer.is_empty() {
                    match self.read(buffer).await? {
                        0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                        count => buffer = &mut buffer[count..],
                    }
                }
                Ok(())
            }

            /// Reads what there is into several buffers, each filled before the next and all in
            /// one system call, and gives the number of bytes. Dropping the future loses no data.
            ///
            /// # Errors
            ///
            /// As `read`.
            pub async fn read_vectored(
                &self,
                parts: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                let mut wait = self.source.wait(Direction::Read);
                std::future::poll_fn(|cx| self.source.poll_read_vectored(cx, &mut wait, parts)).await
            }

            /// Writes some of the bytes, and gives their number. Dropping the future before it is
            /// ready writes nothing.
            ///
            /// # Errors
            ///
            /// What the system says, such as `BrokenPipe` when the peer reads no more; or that the
            /// socket's runtime has ended.
            pub async fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                let mut wait = self.source.wait(Direction::Write);
                std::future::poll_fn(|cx| self.source.poll_write(cx, &mut wait, bytes)).await
            }

            /// Reads what there is without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is nothing: [`readable`](Self::readable) waits for more. Else
            /// as `read`.
            pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                use std::io::Read;
                self.source.try_io(Direction::Read, |mut stream| stream.read(buffer))
            }

            /// Writes some of the bytes without waiting, and returns their number.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is no room: [`writable`](Self::writable) waits for it. Else
            /// as `write`.
            pub fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                use std::io::Write;
                self.source.try_io(Direction::Write, |mut stream| stream.write(bytes))
            }

            /// Writes all the bytes. If the future is dropped, some of them may have been written.
            ///
            /// # Errors
            ///
            /// As `write`; and `WriteZero` if the system takes nothing. Some of the bytes may have
            /// been written.
            pub async fn write_all(&self, mut bytes: &[u8]) -> std::io::Result<()> {
                while !bytes.is_empty() {
                    match self.write(bytes).await? {
                        0 => return Err(std::io::ErrorKind::WriteZero.into()),
                        count => bytes = &bytes[count..],
                    }
                }
                Ok(())
            }

            /// Writes some of the bytes of several buffers, in order and in one system call, and
            /// gives their number. Up to 16 KiB of small parts are copied together for that.
            /// Dropping the future before it is ready writes nothing.
            ///
            /// # Errors
            ///
            /// As `write`.
            pub async fn write_vectored(&self, parts: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                let mut wait = self.source.wait(Direction::Write);
                std::future::poll_fn(|cx| self.source.poll_write_vectored(cx, &mut wait, parts)).await
            }

            /// Ends one or both directions: the peer reads the end of the stream. Ending one twice
            /// is no error.
            ///
            /// # Errors
            ///
            /// What the system says. That the peer was faster (`NotConnected`) is no error.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                match self.source.io().shutdown(how) {
                    // The peer was faster: it is as good as ended.
                    Err(error) if error.kind() == std::io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                }
            }

            /// The other end's address.
            ///
            /// # Errors
            ///
            /// `NotConnected` if there is none.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.source.io().peer_addr()
            }
        }
    };
}

/// What a socket of datagrams has.
macro_rules! datagrams {
    ($socket:ident, $address:ty) => {
        impl $socket {
            /// Sends a datagram to the address that it is connected to, as a whole, and gives its
            /// length. Waits while the system has no room for it. Dropping the future before it is
            /// ready sends nothing.
            ///
            /// # Errors
            ///
            /// What the system says: the datagram is too long, the socket is not connected, or the
            /// peer has refused one that was sent before. The socket stays usable.
            pub async fn send(&self, datagram: &[u8]) -> std::io::Result<usize> {
                self.source.io_when_ready(Direction::Write, |socket| socket.send(datagram)).await
            }

            /// Waits for the next datagram, puts it into the buffer, and gives its length; if it
            /// is connected, only one from that address comes. **What does not fit is lost** (on
            /// Windows with an error). Dropping the future loses no datagram.
            ///
            /// # Errors
            ///
            /// What the system says: on Linux `ConnectionRefused` if it is connected and the peer
            /// has refused what was sent. The socket stays usable.
            pub async fn recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.source.io_when_ready(Direction::Read, |socket| socket.recv(buffer)).await
            }

            #[doc = concat!("As [`recv`](", stringify!($socket), "::recv), and gives the sender's address, too.")]
            ///
            /// # Errors
            ///
            /// As of `recv`.
            pub async fn recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, $address)> {
                self.source.io_when_ready(Direction::Read, |socket| socket.recv_from(buffer)).await
            }

            /// Sends a datagram to the address that it is connected to without waiting, and
            /// returns its length.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if the system has no room for it: [`writable`](Self::writable) waits
            /// for that. Else as `send`.
            pub fn try_send(&self, datagram: &[u8]) -> std::io::Result<usize> {
                self.source.try_io(Direction::Write, |socket| socket.send(datagram))
            }

            /// Receives a datagram that is there already, as `recv` does.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is none: [`readable`](Self::readable) waits for one. Else as
            /// `recv`.
            pub fn try_recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.source.try_io(Direction::Read, |socket| socket.recv(buffer))
            }

            /// As `try_recv`, and returns the sender's address, too.
            ///
            /// # Errors
            ///
            /// As of `try_recv`.
            pub fn try_recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, $address)> {
                self.source.try_io(Direction::Read, |socket| socket.recv_from(buffer))
            }

            /// The address that it is connected to.
            ///
            /// # Errors
            ///
            /// `NotConnected` if there is none.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.source.io().peer_addr()
            }
        }
    };
}

pub(super) use {datagrams, stream};
