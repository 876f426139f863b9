//! smol's `LocalExecutor` inside `smol::block_on`: a task for each connection.

use std::io;
use std::net::SocketAddr;

use smol::LocalExecutor;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

use super::ANY_PORT;
use crate::net::fan_out::{AT_ONCE, Countdown};
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// Serves echo without end.
pub(super) fn serve_echo() {
    let executor = LocalExecutor::new();
    let served: io::Result<()> = smol::block_on(executor.run(async {
        let listener = TcpListener::bind(ANY_PORT).await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            executor.spawn(echo(stream)).detach();
        }
    }));
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
    let executor = LocalExecutor::new();
    move |connections| {
        let countdown = Countdown::from(connections);
        let one = || {
            executor.spawn(
                countdown.clone().each(async move || exchange(server).await.expect("the server answers")),
            )
        };
        let tasks: Vec<_> = (0..AT_ONCE).map(|_| one()).collect();
        smol::block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
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
