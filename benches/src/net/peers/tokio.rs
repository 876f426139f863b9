//! tokio's `LocalRuntime`, with its timers: a task for each connection.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{JoinSet, spawn_local};

use super::ANY_PORT;
use crate::net::fan_out::{AT_ONCE, Countdown};
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// As a real program has it.
pub(in crate::net) fn runtime() -> LocalRuntime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build_local(LocalOptions::default()).expect("a runtime starts")
}

/// Serves echo without end.
pub(super) fn serve_echo() {
    let served: io::Result<()> = runtime().block_on(async {
        let listener = TcpListener::bind(ANY_PORT).await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(echo(stream));
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
    let runtime = runtime();
    move |connections| {
        let countdown = Countdown::from(connections);
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..AT_ONCE {
                tasks.spawn_local(
                    countdown.clone().each(async move || exchange(server).await.expect("the server answers")),
                );
            }
            tasks.join_all().await;
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
