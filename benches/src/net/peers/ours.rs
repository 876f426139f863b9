//! This project: a task for each connection that is served, a child of one gather for each that is
//! made.

use std::io;
use std::net::SocketAddr;

use gather::{Runtime, TcpListener, TcpStream, gather, spawn};

use super::ANY_PORT;
use crate::net::fan_out::AT_ONCE;
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// Serves echo without end.
pub(super) fn serve_echo() {
    let served: io::Result<()> = gather::run(async {
        let listener = TcpListener::bind(ANY_PORT).await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            spawn(echo(stream)).detach();
        }
    });
    served.expect("a server serves");
}

async fn echo(stream: TcpStream) -> io::Result<()> {
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
    let runtime = Runtime::new().expect("a runtime starts");
    move |connections| {
        let exchanges = gather((0..connections).map(|_| exchange(server))).limit(AT_ONCE);
        runtime.block_on(exchanges).expect("the server answers");
    }
}

async fn exchange(server: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(server).await?;
    stream.write_all(&MESSAGE).await?;
    let mut buffer = [0; BUFFER_SIZE];
    let length = stream.read(&mut buffer).await?;
    assert_eq!(length, MESSAGE.len());
    Ok(())
}
