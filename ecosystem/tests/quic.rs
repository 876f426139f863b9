//! QUIC by quinn, over our `UdpSocket`. quinn asks for three small traits: a runtime (spawn, timers, the clock), a timer, and a
//! socket; this file is also how to write them.
//!
//! Two things are worth knowing. One task at a time may wait for a direction of a socket, and quinn has a task for each
//! connection that may wait to send: so all of them stand in a list here, and the socket wakes the list. And a socket may
//! say "not now" although there is room, when its task has done enough in this turn: then the task is woken at once, in its
//! next turn.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use gather::{Sleep, UdpSocket, gather, now, run, sleep_until, spawn};
use gather_ecosystem::{NAME, Tls};
use gather_tests::addresses::HERE;
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

/// Who waits to send. It is the waker that the socket knows.
#[derive(Default)]
struct Senders(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    room: Room,
    tasks: Vec<Waker>,
}

/// What came of the last attempt to send, and of the time since then.
#[derive(Default)]
enum Room {
    #[default]
    Free,
    Full,
    /// Who tries has to wait for its next turn.
    NextTurn,
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Senders").finish_non_exhaustive()
    }
}

impl Wake for Senders {
    fn wake(self: Arc<Self>) {
        let tasks = {
            let mut waiting = self.0.lock().unwrap();
            waiting.room = Room::Free;
            std::mem::take(&mut waiting.tasks)
        };
        tasks.into_iter().for_each(Waker::wake);
    }
}

/// What waits to send for one connection. quinn asks before each attempt.
#[derive(Debug)]
struct Poller(Arc<Senders>);

impl UdpPoller for Poller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.0.0.lock().unwrap();
        match waiting.room {
            Room::Free => return Poll::Ready(Ok(())),
            Room::Full => waiting.tasks.push(cx.waker().clone()),
            Room::NextTurn => {
                waiting.room = Room::Free;
                drop(waiting);
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller(self.senders.clone()))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // Set before the attempt, so that a wake that comes during it is not missed.
        self.senders.0.lock().unwrap().room = Room::Full;
        let waker = Waker::from(self.senders.clone());
        let sends = pin!(self.socket.send_to(transmit.contents, transmit.destination));
        match sends.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => {
                waker.wake(); // there is room
                result.map(drop)
            }
            Poll::Pending => {
                let room = &mut self.senders.0.lock().unwrap().room;
                if let Room::Free = room {
                    *room = Room::NextTurn; // woken meanwhile: there may be room, but not in this turn
                }
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (buffer, meta) = (&mut buffers[0], &mut metas[0]);
        let (len, addr) = ready!(pin!(self.socket.recv_from(buffer)).poll(cx))?;
        *meta = RecvMeta { addr, len, stride: len, ..RecvMeta::default() };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// An endpoint on the loopback interface. As a server it shows the certificate of `tls`, as a client it trusts that.
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
            transport.max_idle_timeout(Some(Duration::from_millis(100).try_into().unwrap()));
            let client = endpoint(&tls, transport);
            let connects = async { client.connect(address, NAME).unwrap().await.unwrap().closed().await };
            // Nobody says anything more: the shorter time counts for both.
            let (there, here) = gather::gather!(capture; accepts, connects).await;
            assert_eq!((there, here), (ConnectionError::TimedOut, ConnectionError::TimedOut));
        });
    });
}
