//! QUIC by quinn, over our `UdpSocket`. quinn asks for three small traits: a runtime (spawn,
//! timers, the clock), a timer, and a socket; this file is also how to write them.
//!
//! One thing is worth knowing. One task at a time may wait for a direction of a socket, and quinn
//! has a task for each connection that may wait to send: so all of them stand in a list here, and
//! the socket wakes the list.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use gather::{Sleep, UdpSocket, gather, now, run, sleep_until, spawn, yield_now};
use gather_ecosystem::{NAME, Tls};
use gather_tests::addresses::HERE;
use gather_tests::children::counting_waker;
use gather_tests::watchdog::finishes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncTimer, AsyncUdpSocket, ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig,
    ServerConfig, TransportConfig, UdpPoller,
};

/// This runtime, for quinn: that of the thread where it is called.
#[derive(Debug)]
struct Gather;

impl quinn::Runtime for Gather {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(sleep_until(deadline)))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        spawn(future).detach();
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::new(Socket { socket: UdpSocket::from_std(socket)?, senders: Arc::default() }))
    }

    fn now(&self) -> Instant {
        now()
    }
}

#[derive(Debug)]
struct Timer(Sleep);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.reset(deadline);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

#[derive(Debug)]
struct Socket {
    socket: UdpSocket,
    senders: Arc<Senders>,
}

/// The connections that wait to send. It is the waker that the socket knows.
#[derive(Debug, Default)]
struct Senders(Mutex<Vec<Waker>>);

impl Wake for Senders {
    fn wake(self: Arc<Self>) {
        let senders = std::mem::take(&mut *self.0.lock().unwrap());
        senders.into_iter().for_each(Waker::wake);
    }
}

/// What waits to send for one connection. quinn asks before each attempt, and after one that would
/// have blocked.
#[derive(Debug)]
struct Poller(Arc<Socket>);

impl UdpPoller for Poller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket { socket, senders } = &*self.0;
        let forget = |list: &mut Vec<Waker>| list.retain(|waker| !waker.will_wake(cx.waker()));
        {
            let mut list = senders.0.lock().unwrap();
            forget(&mut list);
            list.push(cx.waker().clone()); // before the question: its answer may be a wake
        }
        let ready = socket.poll_send_ready(&mut Context::from_waker(&Waker::from(senders.clone())));
        if ready.is_ready() {
            forget(&mut senders.0.lock().unwrap());
        }
        ready
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let waker = Waker::from(self.senders.clone());
        let mut cx = Context::from_waker(&waker);
        match self.socket.poll_send_to(&mut cx, transmit.contents, transmit.destination) {
            Poll::Ready(sent) => sent.map(drop),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (buffer, meta) = (&mut buffers[0], &mut metas[0]);
        let (len, addr) = ready!(self.socket.poll_recv_from(cx, buffer))?;
        *meta = RecvMeta { addr, len, stride: len, ..RecvMeta::default() };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// An endpoint on the loopback interface. As a server it shows the certificate of `tls`, as a
/// client it trusts that.
fn endpoint(tls: &Tls, transport: TransportConfig) -> Endpoint {
    let transport = Arc::new(transport);
    let server = QuicServerConfig::try_from(tls.server.clone()).unwrap();
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(transport.clone());
    let client = QuicClientConfig::try_from(tls.client.clone()).unwrap();
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(transport);

    let socket = std::net::UdpSocket::bind(HERE).unwrap();
    let mut endpoint =
        Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(Gather)).unwrap();
    endpoint.set_default_client_config(client);
    endpoint
}

/// Sends back what comes in each stream of each connection.
async fn echo(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        spawn(async move {
            let connection = incoming.await.unwrap();
            while let Ok((mut sender, mut receiver)) = connection.accept_bi().await {
                spawn(async move {
                    let message = receiver.read_to_end(8 << 20).await.unwrap();
                    sender.write_all(&message).await.unwrap();
                    sender.finish().unwrap();
                })
                .detach();
            }
        })
        .detach();
    }
}

async fn ask(connection: &Connection, message: &[u8]) -> Vec<u8> {
    let (mut sender, mut receiver) = connection.open_bi().await.unwrap();
    let sends = async {
        sender.write_all(message).await.unwrap();
        sender.finish().unwrap();
    };
    let ((), answer) = gather::gather!(capture; sends, receiver.read_to_end(8 << 20)).await;
    answer.unwrap()
}

#[test]
fn gathered_streams_of_several_connections_exchange_messages_and_close_in_order() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[b"echo"]);
            let server = endpoint(&tls, TransportConfig::default());
            let address = server.local_addr().unwrap();
            let serves = spawn(echo(server.clone()));
            let client = endpoint(&tls, TransportConfig::default());
            let lengths = [0, 1, 1200, 1201, 100_000, 2 << 20];
            gather((0..4).map(async |seed: u8| {
                let connection = client.connect(address, NAME)?.await?;
                let answers = gather(lengths.map(async |length| {
                    let message = vec![seed; length];
                    ask(&connection, &message).await == message
                }));
                assert_eq!(answers.capture().await, [true; 6]);
                connection.close(7_u32.into(), b"done");
                Ok::<_, Box<dyn std::error::Error>>(())
            }))
            .await
            .unwrap();
            gather::gather!(capture; client.wait_idle(), server.wait_idle()).await;
            server.close(0_u32.into(), b"");
            serves.await.unwrap();
        });
    });
}

#[test]
fn a_peer_that_falls_silent_is_given_up_after_the_time_for_that() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[b"echo"]);
            let server = endpoint(&tls, TransportConfig::default());
            let address = server.local_addr().unwrap();
            let accepts = async {
                let connection = server.accept().await.unwrap().await.unwrap();
                connection.closed().await
            };
            let mut transport = TransportConfig::default();
            // Longer than a busy machine takes for a handshake: that one must not be given up.
            transport.max_idle_timeout(Some(Duration::from_secs(2).try_into().unwrap()));
            let client = endpoint(&tls, transport);
            let connects = async { client.connect(address, NAME).unwrap().await.unwrap().closed().await };
            // Nobody says anything more: the shorter time counts for both.
            let (there, here) = gather::gather!(capture; accepts, connects).await;
            assert_eq!((there, here), (ConnectionError::TimedOut, ConnectionError::TimedOut));
        });
    });
}

#[test]
fn every_connection_that_waits_to_send_is_woken() {
    finishes(|| {
        run(async {
            let socket = std::net::UdpSocket::bind(HERE).unwrap();
            let socket = quinn::Runtime::wrap_udp_socket(&Gather, socket).unwrap();
            let destination = socket.local_addr().unwrap();
            let contents = b"to myself";
            let transmit = Transmit { destination, contents, ecn: None, segment_size: None, src_ip: None };
            // The socket stops a task that sends for too long, as it would if there were no room.
            let full = std::iter::repeat_with(|| socket.try_send(&transmit)).find(Result::is_err);
            assert_eq!(full.unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
            // Then it refuses one of many attempts of others, each of which has to be woken for
            // it.
            let mut pollers: [_; 4] = std::array::from_fn(|_| socket.clone().create_io_poller());
            let counts = [(); 4].map(|()| counting_waker());
            let mut refused = [0; 4];
            for _ in 0..1_000 {
                for (index, (count, waker)) in counts.iter().enumerate() {
                    let poll = pollers[index].as_mut().poll_writable(&mut Context::from_waker(waker));
                    refused[index] += usize::from(poll.is_pending());
                    assert_eq!(count.get(), refused[index], "the waker of connection {index}");
                }
            }
            assert!(refused.iter().all(|&refused| refused > 0), "{refused:?}");
            yield_now().await;
            socket.try_send(&transmit).unwrap();
        });
    });
}
