//! compio, on io_uring: a task for each connection. A read and a write own their buffer meanwhile.

use std::io;
use std::net::SocketAddr;

use compio::BufResult;
use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::Runtime;

use super::ANY_PORT;
use crate::net::fan_out::{AT_ONCE, Countdown};
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// Serves echo without end.
pub(super) fn serve_echo() {
    let runtime = Runtime::new().expect("a runtime starts");
    let served: io::Result<()> = runtime.block_on(async {
        let listener = TcpListener::bind(ANY_PORT).await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            compio::runtime::spawn(echo(stream)).detach();
        }
    });
    served.expect("a server serves");
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_SIZE);
    loop {
        buffer.clear();
        let BufResult(read, filled) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let BufResult(written, emptied) = stream.write_all(filled).await;
        written?;
        buffer = emptied;
    }
}

/// Makes so many connections.
pub(super) fn fan_out(server: SocketAddr) -> impl FnMut(usize) {
    let runtime = Runtime::new().expect("a runtime starts");
    move |connections| {
        let countdown = Countdown::from(connections);
        runtime.block_on(async {
            let one = || {
                compio::runtime::spawn(
                    countdown.clone().each(async move || exchange(server).await.expect("the server answers")),
                )
            };
            let tasks: Vec<_> = (0..AT_ONCE).map(|_| one()).collect();
            for task in tasks {
                task.await.expect("it neither panics nor is cancelled");
            }
        });
    }
}

async fn exchange(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&MESSAGE).await.0?;
    let BufResult(length, _) = stream.read(Vec::with_capacity(BUFFER_SIZE)).await;
    assert_eq!(length?, MESSAGE.len());
    Ok(())
}
