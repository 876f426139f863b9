//! What several kinds of sockets have, written once.
//!
//! A method that users call on a socket has to stand on its type, so that it needs no import and
//! its documentation is found. The types differ in two words or three, so what they share is
//! written as macros:
//!
//! | macro | for | gives |
//! |---|---|---|
//! | `socket!` | all six | `from_std`, `into_std`, `local_addr`, `readable`, `writable`, `try_io`, the descriptor, `Debug` |
//! | `hops!` | those of IP | `ttl`, `set_ttl` |
//! | `stream!` | `TcpStream`, `UnixStream` | reading and writing bytes, `shutdown`, `peer_addr` |
//! | `datagrams!` | `UdpSocket`, `UnixDatagram` | `send`, `recv`, `recv_from`, with `try_` also, `peer_addr` |
//!
//! Each type is a struct with one field, `source`. How the bytes go is not here but in
//! [`bytes`](super::bytes), and how a socket waits is in [`source`](crate::source).
//!
//! Next: [`transfers`](super::transfers).

/// What every socket has. `$ready` are the directions that are tried before the first event.
macro_rules! socket {
    ($socket:ident, $mio:ty, $std:ty, $address:ty, ready: $ready:expr, try_io: $try_io:path) => {
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

            /// The error that the system keeps for this socket (`SO_ERROR`), which is thereby
            /// cleared. Reads and writes give it, too: this is for who does neither.
            ///
            /// # Errors
            ///
            /// If the system does not say: an error about the question, not the one that it keeps.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.source.io().take_error()
            }

            /// Waits until it is worth trying to read, receive or accept. That may fail with
            /// `WouldBlock` all the same. Dropping the future loses nothing.
            ///
            /// # Errors
            ///
            /// If the socket's runtime has ended.
            pub async fn readable(&self) -> std::io::Result<()> {
                self.source.io_when_ready(crate::source::Direction::Read, |_| Ok(())).await
            }

            /// Waits until it is worth trying to write or send; a listener never is. That may fail
            /// with `WouldBlock` all the same. Dropping the future loses nothing.
            ///
            /// # Errors
            ///
            /// If the socket's runtime has ended.
            pub async fn writable(&self) -> std::io::Result<()> {
                self.source.io_when_ready(crate::source::Direction::Write, |_| Ok(())).await
            }

            /// Calls `f`, which is to try one operation on this socket by other means (such as the
            /// crate socket2 on its descriptor), if the socket is ready for it. If `f` returns
            /// `WouldBlock`, the socket counts as not ready until the next event, so `f` must
            /// return that only if the operation on this socket did.
            ///
            /// ```
            /// use gather_runtime::net::{Interest, UdpSocket};
            /// use std::{io, os::fd::AsFd};
            ///
            /// # #[cfg(unix)]
            /// gather_runtime::run(async {
            ///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
            ///     let here = socket.local_addr()?;
            ///     let duplicate = std::net::UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
            ///     socket.writable().await?;
            ///     socket.try_io(Interest::WRITABLE, || duplicate.send_to(b"hello", here))?;
            ///     socket.readable().await?;
            ///     let mut buffer = [0; 100];
            ///     assert_eq!(socket.try_io(Interest::READABLE, || duplicate.recv(&mut buffer))?, 5);
            ///     Ok::<(), io::Error>(())
            /// })
            /// # .unwrap();
            /// ```
            ///
            /// For a listener that is of use where the system reports readiness again without a
            /// failed `accept`: with epoll and kqueue, not on Windows.
            ///
            /// # Errors
            ///
            /// What `f` returns; `WouldBlock` if the socket is not ready, and then `f` is not
            /// called; or that the socket's runtime has ended.
            pub fn try_io<R>(
                &self,
                interest: crate::net::Interest,
                f: impl FnOnce() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.source.try_io(interest.0, |socket| $try_io(socket, f))
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
            /// Over how many hops a packet may go (`IP_TTL`). A listener's is that of what it
            /// accepts.
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn ttl(&self) -> std::io::Result<u32> {
                self.source.io().ttl()
            }

            /// Sets over how many hops a packet may go (`IP_TTL`), 1 to 255. A listener's is that
            /// of what it accepts.
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

pub(super) use {hops, socket};
