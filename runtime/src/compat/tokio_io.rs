//! `AsyncRead` and `AsyncWrite` of tokio, for the streams and for references to them. Its traits
//! only: no tokio runtime is there.
//!
//! Next: [`hyper`](super::hyper).

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::polled::read_and_write;
use crate::net::TcpStream;
#[cfg(unix)]
use crate::net::UnixStream;

read_and_write!("tokio-io": AsyncRead, &mut ReadBuf<'_>, AsyncWrite, for TcpStream, &TcpStream);
#[cfg(unix)]
read_and_write!("tokio-io": AsyncRead, &mut ReadBuf<'_>, AsyncWrite, for UnixStream, &UnixStream);
