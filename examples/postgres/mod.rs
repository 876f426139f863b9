//! A connection to PostgreSQL over this runtime's sockets, and its failures. The examples
//! `postgres_pool` and `work_queue` share it.
//!
//! tokio-postgres splits a connection in two: a `Client`, which sends queries and awaits answers,
//! and a future that moves the bytes. That future is spawned here, on this runtime; it ends when
//! the client is dropped or the server is gone. [`Connection`] adds what a program in production
//! needs: each question has a limit of time, and the server's last words are kept.
//!
//! What tokio-postgres does only on a tokio runtime is done here: choosing the socket, and a limit
//! on the time to connect. A pool of such connections is in `pool`, their failures are in
//! `failure`. Not here: TLS, and several hosts in one URL (the first is taken).

pub(crate) mod failure;
pub(crate) mod pool;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gather::{TcpStream, UnixStream, spawn, timeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::Host;
use tokio_postgres::error::Severity;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Row};

use failure::Address;
pub(crate) use failure::Failure;

/// How long connecting may take, unless the URL says `connect_timeout=SECONDS`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a URL, which must name a host.
pub(crate) fn url(text: &str) -> Result<Config, String> {
    let config: Config = text.parse().map_err(|error| {
        format!("a URL looks like postgres://user:password@host:port/database ({})", Failure::Postgres(error))
    })?;
    if config.get_hosts().is_empty() { Err("there is no host in the URL".into()) } else { Ok(config) }
}

/// Connects. `limit` is how long the server may take for an answer; `hears` is called with what
/// the server sends unasked: notifications and notices.
pub(crate) async fn connect<H>(config: &Config, limit: Duration, hears: H) -> Result<Connection, Failure>
where
    H: FnMut(AsyncMessage) + 'static,
{
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let to = |address: &str| Address(address.into());
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => {
            let address = to(&format!("{name}:{port}"));
            let connected = async {
                let stream = TcpStream::connect((name.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            start(config, limit, hears, address, connected).await
        }
        Some(Host::Unix(folder)) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            let address = to(&path.display().to_string());
            start(config, limit, hears, address, UnixStream::connect(path)).await
        }
        None => Err(Failure::Connect(to("(no host in the URL)"), io::ErrorKind::InvalidInput.into())),
    }
}

/// Waits for the stream, logs in, and spawns the future that moves the bytes.
async fn start<S, H>(
    config: &Config,
    limit: Duration,
    mut hears: H,
    address: Address,
    connected: impl Future<Output = io::Result<S>>,
) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: FnMut(AsyncMessage) + 'static,
{
    let start = async {
        let stream = connected.await.map_err(|error| Failure::Connect(address.clone(), error))?;
        config.connect_raw(stream, NoTls).await.map_err(Failure::Postgres)
    };
    let Ok(started) = timeout(config.get_connect_timeout().copied().unwrap_or(TIMEOUT), start).await else {
        return Err(Failure::Connect(address, io::ErrorKind::TimedOut.into()));
    };
    let (client, mut connection) = started?;
    let last_words = LastWords::default();
    let keeps = Arc::clone(&last_words);
    let moves_bytes = async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                Ok(message) => hears(message),
                Err(error) => {
                    *keeps.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    break;
                }
            }
        }
    };
    spawn(moves_bytes).named("connection").detach();
    Ok(Connection { client, line: Line { limit, gone: Cell::new(false), last_words } })
}

/// A connection. Each of its questions ends within its limit.
pub(crate) struct Connection {
    /// tokio-postgres itself, for all that is not below. It has no limits.
    pub(crate) client: Client,
    line: Line,
}

/// What a connection asks over, and each of its transactions.
struct Line {
    /// How long an answer may take.
    limit: Duration,
    /// The connection is of no more use: an answer did not come, or the server has said goodbye.
    gone: Cell<bool>,
    last_words: LastWords,
}

/// The error that ended a connection while it was idle, until a question fails of it. The client
/// itself then only says "connection closed".
type LastWords = Arc<Mutex<Option<tokio_postgres::Error>>>;

/// The values of a query, with their types: so the server need not be asked for these first.
type Values<'a> = [(&'a (dyn ToSql + Sync), Type)];

impl Connection {
    /// Asks for rows.
    pub(crate) async fn query(&self, sql: &str, values: &Values<'_>) -> Result<Vec<Row>, Failure> {
        self.line.answer(self.client.query_typed(sql, values)).await
    }

    /// Runs a statement. Returns how many rows it has changed.
    pub(crate) async fn execute(&self, sql: &str, values: &Values<'_>) -> Result<u64, Failure> {
        self.line.answer(self.client.execute_typed(sql, values)).await
    }

    /// Runs several statements without values.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        self.line.answer(self.client.batch_execute(sql)).await
    }

    /// Begins a transaction, which is rolled back if it is dropped.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, Failure> {
        let Connection { client, line } = self;
        Ok(Transaction { transaction: line.answer(client.transaction()).await?, line })
    }

    /// Changes how long an answer may take.
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.line.limit = limit;
    }

    /// Whether the connection is of no more use.
    pub(crate) fn is_gone(&self) -> bool {
        self.line.gone.get() || self.client.is_closed()
    }
}

/// A transaction. Each of its questions ends within the limit of its connection.
pub(crate) struct Transaction<'a> {
    transaction: tokio_postgres::Transaction<'a>,
    line: &'a Line,
}

impl Transaction<'_> {
    /// Runs a statement. Returns how many rows it has changed.
    pub(crate) async fn execute(&self, sql: &str, values: &Values<'_>) -> Result<u64, Failure> {
        self.line.answer(self.transaction.execute_typed(sql, values)).await
    }

    /// Keeps what the transaction has done. After a failure it may be kept or not.
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        self.line.answer(self.transaction.commit()).await
    }
}

impl Line {
    /// Awaits an answer, within the limit. A server that is stuck, or a network that swallows
    /// everything, ends no connection: nothing comes. The question may then have been done or not.
    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let error = match timeout(self.limit, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => {
                self.gone.set(true);
                return Err(Failure::Silent(self.limit));
            }
        };
        let severity = error.as_db_error().and_then(|said| said.parsed_severity());
        if let Some(Severity::Fatal | Severity::Panic) = severity {
            self.gone.set(true);
        }
        let mut last_words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        Err(Failure::Postgres(if error.is_closed() { last_words.take().unwrap_or(error) } else { error }))
    }
}
