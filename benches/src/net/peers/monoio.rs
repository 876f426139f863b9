//! monoio, on io_uring or on epoll, with its timers: a task for each connection. A read and a
//! write own their buffer meanwhile.

use std::io;
use std::net::SocketAddr;

use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::{TcpListener, TcpStream};
use monoio::time::TimeDriver;
use monoio::{Driver, IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::ANY_PORT;
use crate::net::fan_out::{AT_ONCE, Countdown};
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// A runtime on io_uring.
pub(super) fn on_uring() -> Runtime<TimeDriver<IoUringDriver>> {
    RuntimeBuilder::<IoUringDriver>::new().enable_timer().build().expect("a runtime starts")
}

/// A runtime on epoll.
pub(super) fn on_epoll() -> Runtime<TimeDriver<LegacyDriver>> {
    RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().expect("a runtime starts")
}

/// Serves echo without end.
pub(super) fn serve_echo(mut runtime: Runtime<impl Driver>) {
    let served: io::Result<()> = runtime.block_on(async {
        let listener = TcpListener::bind(ANY_PORT)?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            monoio::spawn(echo(stream));
        }
    });
    served.expect("a server serves");
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_SIZE);
    loop {
        buffer.clear();
        let (read, filled) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, emptied) = stream.write_all(filled).await;
        written?;
        buffer = emptied;
    }
}

/// Makes so many connections.
pub(super) fn fan_out(mut runtime: Runtime<impl Driver>, server: SocketAddr) -> impl FnMut(usize) {
    move |connections| {
        let countdown = Countdown::from(connections);
        runtime.block_on(async {
            let one = || {
                monoio::spawn(
                    countdown.clone().each(async move || exchange(server).await.expect("the server answers")),
                )
            };
            let tasks: Vec<_> = (0..AT_ONCE).map(|_| one()).collect();
            for task in tasks {
                task.await;
            }
        });
    }
}

async fn exchange(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_addr(server).await?;
    stream.write_all(&MESSAGE).await.0?;
    let (length, _) = stream.read(Vec::with_capacity(BUFFER_SIZE)).await;
    assert_eq!(length?, MESSAGE.len());
    Ok(())
}
