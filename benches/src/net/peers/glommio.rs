//! glommio, on io_uring: a task for each connection.

use std::io;
use std::net::SocketAddr;

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutor, LocalExecutorBuilder, spawn_local};

use super::ANY_PORT;
use crate::net::fan_out::{AT_ONCE, Countdown};
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

fn executor() -> LocalExecutor {
    LocalExecutorBuilder::default().make().expect("an executor starts")
}

/// Serves echo without end.
pub(super) fn serve_echo() {
    let served: io::Result<()> = executor().run(async {
        let listener = TcpListener::bind(ANY_PORT)?;
        announce(listener.local_addr()?);
        loop {
            let stream = listener.accept().await?;
            spawn_local(echo(stream)).detach();
        }
    });
    served.expect("a server serves");
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER_SIZE];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

/// Makes so many connections.
pub(super) fn fan_out(server: SocketAddr) -> impl FnMut(usize) {
    let executor = executor();
    move |connections| {
        let countdown = Countdown::from(connections);
        executor.run(async {
            let one = || {
                spawn_local(
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
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&MESSAGE).await?;
    let mut buffer = [0; BUFFER_SIZE];
    let length = stream.read(&mut buffer).await?;
    assert_eq!(length, MESSAGE.len());
    Ok(())
}
