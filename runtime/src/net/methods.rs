//! What several kinds of sockets have, written once.
//!
//! A method that users call on a socket has to stand on its type, so that it needs no import and its documentation is
//! found. The types differ in two words or three, so what they share is written as three macros:
//!
//! | macro | for | gives |
//! |---|---|---|
//! | `socket!` | all six | `from_std`, `into_std`, `local_addr`, `take_error`, the descriptor, `Debug` |
//! | `hops!` | those of IP | `ttl`, `set_ttl` |
//! | `stream!` | `TcpStream`, `UnixStream` | reading and writing bytes, `shutdown`, `peer_addr` |
//! | `datagrams!` | `UdpSocket`, `UnixDatagram` | `send`, `recv`, `recv_from`, `peer_addr` |
//!
//! Each type is a struct with one field, `source`. How the bytes go is not here but in [`bytes`](super::bytes), and how
//! a socket waits is in [`source`](crate::source).
//!
//! Next: [`bytes`](super::bytes).

/// What every socket has. `$ready` are the directions that are tried before the first event.
macro_rules! socket {
    ($socket:ident, $mio:ty, $std:ty, $address:ty, ready: $ready:expr) => {
        impl $socket {
            pub(crate) fn register(socket: $mio) -> std::io::Result<$socket> {
                Ok($socket { source: crate::source::Source::new(socket, &$ready)? })
            }

            /// Takes a socket of the standard library, which becomes non-blocking.
            ///
            /// # Errors
            ///
            /// If the system does not let it be made non-blocking, or be registered.
            ///
            /// # Panics
            ///
            /// If this thread runs no runtime.
            pub fn from_std(socket: $std) -> std::io::Result<$socket> {
                socket.set_nonblocking(true)?;
                $socket::register(<$mio>::from_std(socket))
            }

            /// Gives the socket back as one of the standard library. It stays non-blocking.
            ///
            /// # Errors
            ///
            /// There are none today.
            pub fn into_std(self) -> std::io::Result<$std> {
                self.source.into_io().map(Into::into)
            }

            /// This end's address: with the port or the name that the system chose, if it did.
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.source.io().local_addr()
            }

            /// The error that the system keeps for this socket (`SO_ERROR`), which is thereby cleared. Reads and writes
            /// give it, too: this is for who does neither.
            ///
            /// # Errors
            ///
            /// If the system does not say: an error about the question, not the one that it keeps.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.source.io().take_error()
            }
        }

        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.source.io().fmt(f)
            }
        }

        #[cfg(unix)]
        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.source.io().as_fd()
            }
        }

        #[cfg(unix)]
        impl std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.source.io().as_raw_fd()
            }
        }

        #[cfg(windows)]
        impl std::os::windows::io::AsSocket for $socket {
            fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
                self.source.io().as_socket()
            }
        }

        #[cfg(windows)]
        impl std::os::windows::io::AsRawSocket for $socket {
            fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
                self.source.io().as_raw_socket()
            }
        }
    };
}

/// What every socket of IP has.
macro_rules! hops {
    ($socket:ident) => {
        impl $socket {
            /// Over how many hops a packet may go (`IP_TTL`). A listener's is that of what it accepts.
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn ttl(&self) -> std::io::Result<u32> {
                self.source.io().ttl()
            }

            /// Sets over how many hops a packet may go (`IP_TTL`), 1 to 255. A listener's is that of what it accepts.
            ///
            /// # Errors
            ///
            /// What the system says, such as that it is out of range.
            pub fn set_ttl(&self, hops: u32) -> std::io::Result<()> {
                self.source.io().set_ttl(hops)
            }
        }
    };
}

/// What a stream of bytes has.
macro_rules! stream {
    ($stream:ident, $address:ty) => {
        impl $stream {
            /// Reads what there is, at most as much as fits, and gives the number of bytes: 0 at the end of the stream,
            /// or if the buffer is empty. Dropping the future loses no data.
            ///
            /// # Errors
            ///
            /// What the system says, such as `ConnectionReset`; or that the socket's runtime has ended.
            pub async fn read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.source.poll_read(cx, buffer)).await
            }

            /// Fills the buffer.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` if the stream ends first. What was read until then, or until the future is dropped, is in
            /// the buffer, and how much that is, is not known.
            pub async fn read_exact(&self, mut buffer: &mut [u8]) -> std::io::Result<()> {
                while !buffer.is_empty() {
                    match self.read(buffer).await? {
                        0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                        count => buffer = &mut buffer[count..],
                    }
                }
                Ok(())
            }

            /// Reads what there is into several buffers, each filled before the next and all in one system call, and
            /// gives the number of bytes. Dropping the future loses no data.
            ///
            /// # Errors
            ///
            /// As `read`.
            pub async fn read_vectored(
                &self,
                parts: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.source.poll_read_vectored(cx, parts)).await
            }

            /// Writes some of the bytes, and gives their number. Dropping the future before it is ready writes nothing.
            ///
            /// # Errors
            ///
            /// What the system says, such as `BrokenPipe` when the peer reads no more; or that the socket's runtime has ended.
            pub async fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.source.poll_write(cx, bytes)).await
            }

            /// Writes all the bytes. If the future is dropped, some of them may have been written.
            ///
            /// # Errors
            ///
            /// As `write`; and `WriteZero` if the system takes nothing. Some of the bytes may have been written.
            pub async fn write_all(&self, mut bytes: &[u8]) -> std::io::Result<()> {
                while !bytes.is_empty() {
                    match self.write(bytes).await? {
                        0 => return Err(std::io::ErrorKind::WriteZero.into()),
                        count => bytes = &bytes[count..],
                    }
                }
                Ok(())
            }

            /// Writes some of the bytes of several buffers, in order and in one system call, and gives their number.
            /// Dropping the future before it is ready writes nothing.
            ///
            /// # Errors
            ///
            /// As `write`.
            pub async fn write_vectored(&self, parts: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                std::future::poll_fn(|cx| self.source.poll_write_vectored(cx, parts)).await
            }

            /// Ends one or both directions: the peer reads the end of the stream. Ending one twice is no error.
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
            /// Sends a datagram to the address that it is connected to, as a whole, and gives its length. Waits while
            /// the system has no room for it. Dropping the future before it is ready sends nothing.
            ///
            /// # Errors
            ///
            /// What the system says: the datagram is too long, the socket is not connected, or the peer has refused one
            /// that was sent before. The socket stays usable.
            pub async fn send(&self, datagram: &[u8]) -> std::io::Result<usize> {
                self.source.try_when_ready(Direction::Write, |socket| socket.send(datagram)).await
            }

            /// Waits for the next datagram, puts it into the buffer, and gives its length; if it is connected, only
            /// one from that address comes. **What does not fit is lost** (on Windows with an error). Dropping the
            /// future loses no datagram.
            ///
            /// # Errors
            ///
            /// What the system says: on Linux `ConnectionRefused` if it is connected and the peer has refused what was sent. The socket
            /// stays usable.
            pub async fn recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.source.try_when_ready(Direction::Read, |socket| socket.recv(buffer)).await
            }

            #[doc = concat!("As [`recv`](", stringify!($socket), "::recv), and gives the sender's address, too.")]
            ///
            /// # Errors
            ///
            /// As of `recv`.
            pub async fn recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, $address)> {
                self.source.try_when_ready(Direction::Read, |socket| socket.recv_from(buffer)).await
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

pub(super) use {datagrams, hops, socket, stream};
