//! Why a request was not answered, and which kind of failure that is.
//!
//! The reason is a chain of errors (hyper-util's, hyper's, the socket's). People read the whole
//! chain, the report counts by kind. The kind is found by walking down the chain, because every
//! layer words the same fault in its own way.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::iter::successors;
use std::time::Duration;

use hyper::http::Extensions;

use crate::client::Use;

/// What systems of the Unix kind say when the process, or the machine, has no descriptors left.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// A request that got no answer, or only a part of one.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// How long the request took until it failed.
    pub(crate) latency: Duration,
}

#[derive(Debug)]
pub(crate) enum Cause {
    /// The whole answer was not there in time.
    TimedOut(Duration),
    /// No head of an answer came: no connection, or none that lasted.
    Request(hyper_util::client::legacy::Error),
    /// The head came, but not the whole body.
    Body(hyper::Error),
}

/// What failures are counted by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    TimedOut,
    Refused,
    Closed,
    /// A connection that was kept after an answer, and was closed when a request went over it.
    KeptClosed,
    NotHttp,
    /// More headers than [`Client`](crate::client::Client) takes, or longer ones.
    HeadTooLarge,
    /// This process has as many open files as it may.
    NoDescriptors,
    /// Anything else is counted by the words of its first cause.
    Other(String),
}

impl Failure {
    pub(crate) fn kind(&self) -> Kind {
        self.cause.kind()
    }
}

impl Cause {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Cause::TimedOut(_) => Kind::TimedOut,
            Cause::Request(error) => match kind_of(error) {
                Kind::Closed if was_kept(error) => Kind::KeptClosed,
                kind => kind,
            },
            Cause::Body(error) => kind_of(error),
        }
    }
}

/// Whether the connection had answered before, and then no byte came after the request.
fn was_kept(error: &hyper_util::client::legacy::Error) -> bool {
    let mut extras = Extensions::new();
    error.connect_info().inspect(|connection| connection.get_extras(&mut extras));
    extras.get::<Use>().is_some_and(Use::ended_at_a_request)
}

/// The kind of the deepest error that says one: what lies above it only repeats it in other words.
fn kind_of(error: &(dyn Error + 'static)) -> Kind {
    let root = chain(error).last().unwrap_or(error);
    chain(error).filter_map(kind_of_one).last().unwrap_or_else(|| Kind::Other(root.to_string()))
}

/// An error, what caused it, what caused that, and so on.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// The kind of one error, without its sources.
fn kind_of_one(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        return match error.kind() {
            _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => Some(Kind::NoDescriptors),
            ErrorKind::TimedOut => Some(Kind::TimedOut),
            ErrorKind::ConnectionRefused => Some(Kind::Refused),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Some(Kind::Closed),
            _ => None,
        };
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        Some(Kind::HeadTooLarge)
    } else if error.is_parse() {
        Some(Kind::NotHttp)
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Some(Kind::Closed)
    } else {
        None
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::TimedOut(limit) => write!(f, "no whole answer within {limit:?}"),
            Cause::Request(_) => f.write_str("the request was not answered"),
            Cause::Body(_) => f.write_str("the answer broke off in its body"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::TimedOut(_) => None,
            Cause::Request(error) => Some(error),
            Cause::Body(error) => Some(error),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::TimedOut => "timeout",
            Kind::Refused => "connection refused",
            Kind::Closed => "connection reset or closed",
            Kind::KeptClosed => "kept connection closed",
            Kind::NotHttp => "answer is not HTTP",
            Kind::HeadTooLarge => "head of answer too large",
            Kind::NoDescriptors => "out of descriptors",
            Kind::Other(cause) => cause,
        })
    }
}

/// Displays an error and everything that caused it, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        chain(self.0).skip(1).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// An error that says nothing of itself, as the outer layers of a client do.
    #[derive(Debug)]
    struct Layer(io::Error);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("client error")
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_kind_is_that_of_the_socket_below_all_layers() {
        let kind = |kind: ErrorKind| kind_of(&Layer(kind.into()));
        assert_eq!(kind(ErrorKind::ConnectionRefused), Kind::Refused);
        assert_eq!(kind(ErrorKind::ConnectionReset), Kind::Closed);
        assert_eq!(kind(ErrorKind::BrokenPipe), Kind::Closed);
        assert_eq!(kind(ErrorKind::TimedOut), Kind::TimedOut);
    }

    #[test]
    fn an_unknown_kind_is_counted_by_its_first_cause() {
        let error = Layer(io::Error::other("no route to host"));
        assert_eq!(kind_of(&error), Kind::Other("no route to host".into()));
    }

    #[test]
    fn the_chain_names_every_cause() {
        let error = Layer(io::Error::other("no route to host"));
        assert_eq!(Chain(&error).to_string(), "client error: no route to host");
    }
}
