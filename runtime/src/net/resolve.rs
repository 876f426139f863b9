//! From what a user writes for an address to socket addresses.
//!
//! Next: [`methods`](super::methods).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs as _};

use crate::blocking::{BlockingTask, Pool};

/// What can be connected to or listened on: socket addresses, and names to be looked up.
///
/// It is [`std::net::ToSocketAddrs`] without the waiting: it says whether a name has to be looked
/// up, and then that is done on another thread.
pub trait ToSocketAddrs {
    /// The addresses, or the name to look up.
    fn lookup(&self) -> Lookup;

    /// How a name is looked up; `None` where there never is one. A program that only has addresses
    /// then has no code for names and, if it needs no other, none for the threads of the blocking
    /// pool: a tenth of a small server.
    #[doc(hidden)]
    fn names(&self) -> Option<Names> {
        Some(Names(start_look_up))
    }
}

/// See [`ToSocketAddrs::names`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Names(fn(&str, u16) -> io::Result<LookUp>);

/// A look-up on another thread.
type LookUp = BlockingTask<io::Result<Vec<SocketAddr>>>;

/// See [`ToSocketAddrs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Addresses, as they are.
    Known(Vec<SocketAddr>),
    /// A name and a port.
    Name(String, u16),
    /// Text that is neither an address nor `name:port`.
    Malformed(String),
}

/// The addresses that are meant. Never an empty list.
pub(super) async fn resolve(address: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    address.lookup().resolve(address.names()).await
}

impl Lookup {
    async fn resolve(self, names: Option<Names>) -> io::Result<Vec<SocketAddr>> {
        let (found, what) = match self {
            Lookup::Known(addresses) => (addresses, "an empty list of addresses".to_owned()),
            Lookup::Name(name, port) => {
                let what = format!("the name {name:?}");
                let Some(Names(look_up)) = names else { return Err(io::ErrorKind::Unsupported.into()) };
                (look_up(&name, port)?.await.map_err(io::Error::other)??, what)
            }
            Lookup::Malformed(text) => {
                let message = format!("{text:?} is not an address: write `address:port` or `name:port`");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{what} gives no address")));
        }
        Ok(found)
    }
}

/// Starts a look-up on a thread of its pool.
fn start_look_up(name: &str, port: u16) -> io::Result<LookUp> {
    let owned = name.to_owned();
    Pool::of_this_thread("a name look-up")
        .names()
        .spawn(move || look_up(&owned, port))
        // Without the system's kind: at a limit of threads that is `WouldBlock`, which says "try
        // again".
        .map_err(|error| io::Error::other(format!("cannot look up the name {name:?}: {error}")))
}

/// Blocks.
fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match (name, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot look up the name {name:?}: {error}"))),
    }
}

impl ToSocketAddrs for SocketAddr {
    fn lookup(&self) -> Lookup {
        Lookup::Known(vec![*self])
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for SocketAddrV4 {
    fn lookup(&self) -> Lookup {
        Lookup::Known(vec![(*self).into()])
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for SocketAddrV6 {
    fn lookup(&self) -> Lookup {
        Lookup::Known(vec![(*self).into()])
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for (IpAddr, u16) {
    fn lookup(&self) -> Lookup {
        Lookup::Known(vec![(*self).into()])
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for (Ipv4Addr, u16) {
    fn lookup(&self) -> Lookup {
        Lookup::Known(vec![(*self).into()])
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for (Ipv6Addr, u16) {
    fn lookup(&self) -> Lookup {
        Lookup::Known(vec![(*self).into()])
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for [SocketAddr] {
    fn lookup(&self) -> Lookup {
        Lookup::Known(self.to_vec())
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for Vec<SocketAddr> {
    fn lookup(&self) -> Lookup {
        Lookup::Known(self.clone())
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {
    fn lookup(&self) -> Lookup {
        Lookup::Known(self.to_vec())
    }

    fn names(&self) -> Option<Names> {
        None
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn lookup(&self) -> Lookup {
        let (host, port) = *self;
        let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match unbracketed.parse::<IpAddr>() {
            Ok(address) => (address, port).lookup(),
            Err(_) => Lookup::Name(host.to_owned(), port),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    fn lookup(&self) -> Lookup {
        (self.0.as_str(), self.1).lookup()
    }
}

impl ToSocketAddrs for str {
    fn lookup(&self) -> Lookup {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return address.lookup();
        }
        let parts = self.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
        match parts {
            Some((name, port)) if !name.is_empty() => (name, port).lookup(),
            _ => Lookup::Malformed(self.to_owned()),
        }
    }
}

impl ToSocketAddrs for String {
    fn lookup(&self) -> Lookup {
        self.as_str().lookup()
    }
}

impl<A: ToSocketAddrs + ?Sized> ToSocketAddrs for &A {
    fn lookup(&self) -> Lookup {
        (**self).lookup()
    }

    fn names(&self) -> Option<Names> {
        (**self).names()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_any_form_needs_no_look_up() {
        let known = Lookup::Known(vec!["127.0.0.1:80".parse().unwrap()]);
        assert_eq!("127.0.0.1:80".lookup(), known);
        assert_eq!(("127.0.0.1", 80).lookup(), known);
        assert_eq!((Ipv4Addr::LOCALHOST, 80).lookup(), known);
        assert_eq!("[::1]:80".lookup(), Lookup::Known(vec!["[::1]:80".parse().unwrap()]));
    }

    #[test]
    fn a_name_is_told_from_an_address_and_from_nonsense() {
        assert_eq!("localhost:80".lookup(), Lookup::Name("localhost".into(), 80));
        for nonsense in ["", "localhost", ":80", "localhost:", "localhost:http", "127.0.0.1:70000"] {
            assert_eq!(nonsense.lookup(), Lookup::Malformed(nonsense.into()), "{nonsense}");
        }
    }
}
