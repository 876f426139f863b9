//! Datagrams over UDP.
//!
//! Next: [`unix`](super::unix), the sockets that have names in the file system.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use super::ToSocketAddrs;
use super::listener::first_that_works;
use super::methods::{hops, socket};
use super::resolve::resolve;
use super::transfers::datagrams;
use crate::source::{Direction, Source};

/// A socket that sends and receives datagrams over UDP. Dropping it closes it.
///
/// Its methods take `&self`: any number of tasks may send and receive at once. A datagram comes
/// whole or not at all: one may be lost on the way, come twice, or come before one that was sent
/// earlier.
///
/// ```
/// use gather_runtime::net::UdpSocket;
///
/// gather_runtime::run(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(server.local_addr()?).await?;
///     client.send(b"ping").await?;
///
///     let mut buffer = [0; 1500];
///     let (length, sender) = server.recv_from(&mut buffer).await?;
///     assert_eq!(&buffer[..length], b"ping");
///     server.send_to(b"pong", sender).await?;
///     assert_eq!(client.recv(&mut buffer).await?, 4);
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
pub struct UdpSocket {
    source: Source<mio::net::UdpSocket>,
}

// Nearly always there is room to send.
socket!(UdpSocket, mio::net::UdpSocket, std::net::UdpSocket, SocketAddr, ready: [Direction::Read, Direction::Write], try_io: mio::net::UdpSocket::try_io);
datagrams!(UdpSocket, SocketAddr);
hops!(UdpSocket);

impl UdpSocket {
    /// Binds a socket to `address` (port 0: to any that is free). Of several addresses the first
    /// that works is taken.
    ///
    /// # Errors
    ///
    /// What the system says, for the last address that was tried.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        first_that_works(address, mio::net::UdpSocket::bind).await.and_then(UdpSocket::register)
    }

    /// Makes `address` the one to which [`send`](UdpSocket::send) sends, and from which alone
    /// datagrams are received. Nothing is sent. Of several addresses the first that the system
    /// takes.
    ///
    /// # Errors
    ///
    /// What the system says, for the last address that was tried; or that a name was not found.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        first_that_works(address, |address| self.source.io().connect(address)).await
    }

    /// Sends a datagram to `address`, as a whole, and gives its length. Of several addresses the
    /// first is used. Waits while the system has no room for it. Dropping the future before it is
    /// ready sends nothing.
    ///
    /// # Errors
    ///
    /// What the system says: such as that the datagram is too long. The socket stays usable.
    pub async fn send_to(&self, datagram: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        let address = resolve(address).await?[0];
        self.source.io_when_ready(Direction::Write, |socket| socket.send_to(datagram, address)).await
    }

    /// As [`send_to`](UdpSocket::send_to) without waiting, and for one address.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the system has no room for it: [`writable`](UdpSocket::writable) waits for
    /// that. Else as `send_to`.
    pub fn try_send_to(&self, datagram: &[u8], address: SocketAddr) -> io::Result<usize> {
        self.source.try_io(Direction::Write, |socket| socket.send_to(datagram, address))
    }

    /// As [`recv_from`](UdpSocket::recv_from), for futures that are written by hand. If it is
    /// pending it has put nothing into the buffer. Of several polls the last is woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    ///
    /// ```
    /// use gather_runtime::net::UdpSocket;
    /// use std::future::poll_fn;
    ///
    /// gather_runtime::run(async {
    ///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let address = socket.local_addr()?;
    ///     assert_eq!(poll_fn(|cx| socket.poll_send_to(cx, b"to myself", address)).await?, 9);
    ///     let mut buffer = [0; 1500];
    ///     let (length, from) = poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await?;
    ///     assert_eq!((&buffer[..length], from), (&b"to myself"[..], address));
    ///     Ok::<(), std::io::Error>(())
    /// })
    /// # .unwrap();
    /// ```
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let wait = &mut self.source.poll_wait(Direction::Read);
        self.source.poll_io(cx, wait, |socket| socket.recv_from(buffer), |_| false)
    }

    /// As [`send_to`](UdpSocket::send_to), for futures that are written by hand. If it is pending
    /// it has sent nothing. Of several polls the last is woken. (An example stands at
    /// [`poll_recv_from`](UdpSocket::poll_recv_from).)
    ///
    /// # Errors
    ///
    /// As [`send_to`](UdpSocket::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        address: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let wait = &mut self.source.poll_wait(Direction::Write);
        self.source.poll_io(cx, wait, |socket| socket.send_to(datagram, address), |_| false)
    }

    /// Waits until [`poll_send_to`](UdpSocket::poll_send_to) is worth a try, and sends nothing.
    /// That may be pending all the same. It wakes as that does.
    ///
    /// # Errors
    ///
    /// That the socket's runtime has ended.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wait = &mut self.source.poll_wait(Direction::Write);
        self.source.poll_io(cx, wait, |_| Ok(()), |_| false)
    }

    /// As [`recv`](UdpSocket::recv), and leaves the datagram there for the next call.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.io_when_ready(Direction::Read, |socket| socket.peek(buffer)).await
    }

    /// As [`recv_from`](UdpSocket::recv_from), and leaves the datagram there for the next call.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.source.io_when_ready(Direction::Read, |socket| socket.peek_from(buffer)).await
    }

    /// Whether it may send to a broadcast address (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.source.io().broadcast()
    }

    /// Lets it send to a broadcast address, or not (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.source.io().set_broadcast(broadcast)
    }

    /// Receives what is sent to `group`, too, on the interface that has this address (unspecified:
    /// one that the system chooses).
    ///
    /// # Errors
    ///
    /// What the system says, such as that this is no group, or that there is no such interface.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.source.io().join_multicast_v4(group, interface)
    }

    /// Ends what [`join_multicast_v4`](UdpSocket::join_multicast_v4) began.
    ///
    /// # Errors
    ///
    /// What the system says, such as that it was not joined.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.source.io().leave_multicast_v4(group, interface)
    }

    /// Whether this machine gets what the socket sends to a group of IPv4, too
    /// (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.source.io().multicast_loop_v4()
    }

    /// Lets this machine get what the socket sends to a group of IPv4, or not
    /// (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_multicast_loop_v4(&self, comes_back: bool) -> io::Result<()> {
        self.source.io().set_multicast_loop_v4(comes_back)
    }

    /// Over how many hops a datagram to a group of IPv4 may go (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.source.io().multicast_ttl_v4()
    }

    /// Sets over how many hops a datagram to a group of IPv4 may go (`IP_MULTICAST_TTL`): 1, which
    /// it is at first, is this network.
    ///
    /// # Errors
    ///
    /// What the system says, such as that it is out of range.
    pub fn set_multicast_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.source.io().set_multicast_ttl_v4(hops)
    }

    /// Receives what is sent to `group`, too, on the interface of this index (0: one that the
    /// system chooses).
    ///
    /// # Errors
    ///
    /// What the system says, such as that this is no group, or that there is no such interface.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source.io().join_multicast_v6(group, interface)
    }

    /// Ends what [`join_multicast_v6`](UdpSocket::join_multicast_v6) began.
    ///
    /// # Errors
    ///
    /// What the system says, such as that it was not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source.io().leave_multicast_v6(group, interface)
    }

    /// Whether this machine gets what the socket sends to a group of IPv6, too
    /// (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.source.io().multicast_loop_v6()
    }

    /// Lets this machine get what the socket sends to a group of IPv6, or not
    /// (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_multicast_loop_v6(&self, comes_back: bool) -> io::Result<()> {
        self.source.io().set_multicast_loop_v6(comes_back)
    }
}
