//! What can go wrong between us and the server, and whether it may pass.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter::successors;
use std::time::Duration;

/// Where the server should be: `host:port`, or the path of a socket.
#[derive(Clone, Debug)]
pub(crate) struct Address(pub(super) String);

/// What can go wrong between us and the server.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no connection.
    Connect(Address, io::Error),
    /// There is one, and the server or tokio-postgres refuses, or it ended.
    Postgres(tokio_postgres::Error),
    /// There is one, and no answer came for so long.
    Silent(Duration),
}

/// The errors that pass, by the beginning of their SQLSTATE. An overload, a failover, a restart or
/// another transaction is the cause, and not the question.
const PASSING: [&str; 6] = [
    "08",    // connection exception
    "25006", // the server is read-only, as in a failover
    "40",    // rolled back: a deadlock, a serialization failure
    "53",    // no more connections, memory or disk
    "55P03", // a lock was not available in time
    "57",    // the operator: a shutdown, a start, a statement's timeout
];

impl Failure {
    /// Whether the same may work after a pause, if need be over a new connection.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Failure::Connect(..) | Failure::Silent(_) => true,
            Failure::Postgres(error) => match error.code() {
                Some(code) => PASSING.iter().any(|class| code.code().starts_with(class)),
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
