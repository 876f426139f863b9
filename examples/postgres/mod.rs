//! A connection to PostgreSQL over this runtime's sockets, and what can go wrong with one. The examples `postgres_pool` and
//! `work_queue` share it.
//!
//! tokio-postgres splits a connection in two: a `Client`, which sends queries and awaits answers, and a future that moves
//! the bytes. That future is spawned here, on this runtime; it ends when the client is dropped or the server is gone.
//!
//! What tokio-postgres does only on a tokio runtime is done here: choosing the socket, and a limit on the time to connect.
//! A pool of such connections is in `pool`. Not here: TLS, and several hosts in one URL (the first is taken).

pub(crate) mod pool;

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::iter::successors;
use std::time::Duration;

use gather::{TcpStream, UnixStream, spawn, timeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// How long connecting may take, unless the URL says `connect_timeout=SECONDS`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a URL, which must name a host.
pub(crate) fn url(text: &str) -> Result<Config, String> {
    let config: Config = text.parse().map_err(|error| {
        format!("a URL looks like postgres://user:password@host:port/database ({})", Failure::Postgres(error))
    })?;
    if config.get_hosts().is_empty() { Err("there is no host in the URL".into()) } else { Ok(config) }
}

/// Connects. `hears` is called with what the server says unasked: notifications, and notices.
pub(crate) async fn connect<H>(config: &Config, hears: H) -> Result<Client, Failure>
where
    H: FnMut(AsyncMessage) + 'static,
{
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let limit = config.get_connect_timeout().copied().unwrap_or(TIMEOUT);
    let to = |address: &str| Address(address.into());
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => {
            let address = to(&format!("{name}:{port}"));
            let connected = async {
                let stream = TcpStream::connect((name.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            start(config, hears, limit, address, connected).await
        }
        Some(Host::Unix(folder)) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            let address = to(&path.display().to_string());
            start(config, hears, limit, address, UnixStream::connect(path)).await
        }
        None => Err(Failure::Connect(to("(no host in the URL)"), io::ErrorKind::InvalidInput.into())),
    }
}

/// Waits for the stream, speaks with the server about who we are, and spawns the future that moves the bytes.
async fn start<S, H>(
    config: &Config,
    mut hears: H,
    limit: Duration,
    address: Address,
    connected: impl Future<Output = io::Result<S>>,
) -> Result<Client, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: FnMut(AsyncMessage) + 'static,
{
    let start = async {
        let stream = connected.await.map_err(|error| Failure::Connect(address.clone(), error))?;
        config.connect_raw(stream, NoTls).await.map_err(Failure::Postgres)
    };
    let Ok(started) = timeout(limit, start).await else {
        return Err(Failure::Connect(address, io::ErrorKind::TimedOut.into()));
    };
    let (client, mut connection) = started?;
    // Whoever has the client learns of an error from it.
    let moves_bytes = async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            hears(message);
        }
    };
    spawn(moves_bytes).named("connection").detach();
    Ok(client)
}

/// Awaits an answer of the server for so long, and no longer. A server that is stuck, or a network that swallows everything, ends no
/// connection: it says nothing. After a failure of this kind, what was asked may have been done or not, and the connection
/// is of no more use.
#[allow(dead_code, reason = "postgres_pool has no limit")]
pub(crate) async fn answer<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    match timeout(limit, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(Failure::Silent(limit)),
    }
}

/// Where the server should be: `host:port`, or the path of a socket.
#[derive(Clone, Debug)]
pub(crate) struct Address(String);

/// What can go wrong between us and the server.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no connection.
    Connect(Address, io::Error),
    /// There is one, and the server or tokio-postgres refuses, or it ended.
    Postgres(tokio_postgres::Error),
    /// There is one, and nothing came over it for so long.
    Silent(Duration),
}

impl Failure {
    /// Whether the connection is to blame (refused, lost, the server is stopping or starting), and not what was asked: with
    /// a new one it may work.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        match self {
            Failure::Connect(..) | Failure::Silent(_) => true,
            Failure::Postgres(error) => match error.code() {
                Some(code) => [
                    SqlState::ADMIN_SHUTDOWN,
                    SqlState::CRASH_SHUTDOWN,
                    SqlState::CANNOT_CONNECT_NOW,
                    SqlState::TOO_MANY_CONNECTIONS,
                ]
                .contains(code),
                None => error.is_closed() || io_error(error).is_some(),
            },
        }
    }
}

/// The error of the socket beneath, if it is one.
pub(crate) fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        Failure::Postgres(error)
    }
}

/// With all causes, on one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(Address(address), error) => {
                write!(f, "cannot connect to PostgreSQL at {address}: {error}")
            }
            Failure::Postgres(error) => {
                write!(f, "{error}")?;
                successors(error.source(), |&cause| cause.source())
                    .try_for_each(|cause| write!(f, ": {cause}"))
            }
            Failure::Silent(limit) => write!(f, "PostgreSQL has not answered for {limit:?}"),
        }
    }
}

impl Error for Failure {}
