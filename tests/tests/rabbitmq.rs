//! lapin on this runtime, against RabbitMQ. lapin has a thread of its own, from which it connects,
//! spawns and sleeps on the runtime of another thread, and on which it reads and writes the
//! socket. `cargo servers` runs these tests.

#![cfg(all(unix, feature = "servers"))]

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::{Task, TaskImpl};
use futures_core::Stream;
use futures_lite::{AsyncRead, AsyncWrite, StreamExt, future, stream};
use gather::{Handle, RemoteTask, Runtime, TcpStream, gather, run, sleep, spawn_blocking, timeout};
use gather_tests::rabbitmq::RabbitMq;
use gather_tests::watchdog::LIMIT;
use lapin::options::{BasicAckOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

/// This runtime as lapin wants one: from every thread.
#[derive(Clone, Debug)]
struct Gather(Handle);

impl RuntimeKit for Gather {}

impl Executor for Gather {
    type Task<T: Send + 'static> = Spawned<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        future::block_on(future) // on lapin's own thread
    }

    fn spawn<T, F>(&self, future: F) -> Task<Spawned<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Spawned(Some(self.0.spawn(move || future))).into()
    }

    fn spawn_blocking<T, F>(&self, f: F) -> Task<Spawned<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.spawn(async {
            spawn_blocking(f).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
        })
    }
}

impl Reactor for Gather {
    type TcpStream = TcpStream;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn register<H>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static>
    where
        H: Read + Write + Send + 'static,
    {
        Err::<TcpStream, _>(io::ErrorKind::Unsupported.into()) // lapin does not ask for it
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        let slept = self.0.spawn(move || sleep(duration));
        Box::pin(async { slept.await.unwrap_or_default() })
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        let kit = self.clone();
        stream::unfold(kit, move |kit| async move {
            kit.sleep(duration).await;
            Some((Instant::now(), kit))
        })
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<TcpStream>> + Send + 'static {
        let connected = self.0.spawn(move || TcpStream::connect(address));
        async { connected.await.map_err(io::Error::other)? }
    }
}

/// A task that goes on when its handle is detached, which is what the traits call dropping it.
struct Spawned<T>(Option<RemoteTask<T>>);

#[async_trait::async_trait]
impl<T: Send + 'static> TaskImpl for Spawned<T> {
    async fn cancel(&mut self) -> Option<T> {
        self.0 = None;
        None
    }

    fn detach(&mut self) {
        self.0.take().into_iter().for_each(RemoteTask::detach);
    }
}

impl<T> Future for Spawned<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let task = self.0.as_mut().expect("it was neither cancelled nor detached");
        Poll::Ready(ready!(Pin::new(task).poll(cx)).unwrap_or_else(|error| resume_unwind(error.into_panic())))
    }
}

async fn connect(server: &RabbitMq) -> Connection {
    let runtime = async_rs::Runtime::new(Gather(Handle::current()));
    let properties = ConnectionProperties::default();
    Connection::connect_with_runtime(&server.url(), properties, runtime).await.expect("the server is there")
}

async fn publish(channel: &Channel, queue: &str, number: u32) -> lapin::Result<()> {
    let (options, properties) = Default::default();
    let bytes = number.to_be_bytes();
    let sent = channel.basic_publish("".into(), queue.into(), options, &bytes, properties).await?;
    assert!(sent.await?.is_ack());
    Ok(())
}

/// Takes messages until there were as many, and acknowledges each.
async fn consume(channel: &Channel, queue: &str, messages: u32) -> lapin::Result<Vec<u32>> {
    let (options, arguments) = Default::default();
    let mut consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await?;
    let mut numbers = Vec::new();
    while numbers.len() < messages as usize {
        let message = consumer.next().await.expect("the channel is open")?;
        numbers.push(u32::from_be_bytes(message.data[..].try_into().expect("four bytes")));
        message.ack(BasicAckOptions::default()).await?;
    }
    Ok(numbers)
}

/// Makes a queue.
async fn declare(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let (options, arguments) = (QueueDeclareOptions::default(), FieldTable::default());
    channel.queue_declare(queue.into(), options, arguments).await.map(drop)
}

#[test]
fn gathered_messages_are_confirmed_and_arrive_in_order_and_the_socket_is_gone_in_the_end() {
    let server = RabbitMq::start();
    let runtime = Runtime::new().expect("the system gives what a runtime needs");
    let sockets = || runtime.metrics().sockets_registered();
    let before = sockets();
    let passed_on = runtime.block_on(async {
        let connection = connect(&server).await;
        assert_eq!(sockets(), before + 1);
        let channels = gather((0..2).map(async |_| connection.create_channel().await)).await?;
        channels[0].confirm_select(ConfirmSelectOptions::default()).await?;
        declare(&channels[0], "numbers").await?;
        let publishes = gather((0..2000).map(|number| publish(&channels[0], "numbers", number))).limit(100);
        let (_, numbers) = gather::gather!(publishes, consume(&channels[1], "numbers", 2000)).await?;
        assert!(numbers.into_iter().eq(0..2000));
        connection.close(200, "goodbye".into()).await?;
        // lapin's thread drops it.
        let gone = async {
            while sockets() != before {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, gone).await.expect("the connection is closed");
        Ok::<_, lapin::Error>(())
    });
    passed_on.expect("all succeed");
}

#[test]
fn who_waits_for_messages_learns_that_the_server_is_gone() {
    let server = RabbitMq::start();
    let waited = run(async {
        let connection = connect(&server).await;
        let channel = connection.create_channel().await?;
        declare(&channel, "empty").await?;
        let killed = async {
            sleep(Duration::from_millis(50)).await;
            drop(server);
            Ok(())
        };
        let waits = timeout(LIMIT, consume(&channel, "empty", 1));
        gather::gather!(killed, async { waits.await.expect("it learns of it") }).await
    });
    waited.expect_err("there was no message");
}
