//! Connecting to the first of several addresses that answers: RFC 8305, "happy eyeballs".
//!
//! A name often has addresses of IPv6 and of IPv4, and one of the two may lead nowhere: packets
//! vanish, and the system takes minutes to say so. So the families are tried by turns, beginning
//! with that of the first address (which the system's look-up has sorted to the front); the next
//! attempt begins when one has failed, or after [`DELAY`] beside those that still wait; the first
//! connection wins, and dropping the others closes them.
//!
//! Every wake polls all attempts: there are few, and one that has no event costs a look at its
//! flags.
//!
//! Not here: asking for both families' addresses at once, which the system's look-up does, and
//! remembering what worked.
//!
//! Next: [`listener`](super::listener).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::TcpStream;
use crate::{Sleep, now, sleep};

/// The "Connection Attempt Delay" that the RFC recommends.
const DELAY: Duration = Duration::from_millis(250);

/// Never asked for an empty list.
pub(super) async fn to_first_that_answers(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        return TcpStream::connect_to(address).await;
    }
    let mut attempts = Attempts {
        left: by_turns(addresses).into_iter(),
        waiting: Vec::new(),
        next: sleep(Duration::ZERO),
        failures: Vec::new(),
    };
    poll_fn(|cx| attempts.poll(cx)).await
}

/// An attempt at one address.
type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + Sync>>;

struct Attempts {
    /// Where nobody has tried yet.
    left: std::vec::IntoIter<SocketAddr>,
    /// Those that have begun, in that order.
    waiting: Vec<(SocketAddr, Attempt)>,
    /// When the next one begins.
    next: Sleep,
    /// Those that have failed.
    failures: Vec<(SocketAddr, io::Error)>,
}

impl Attempts {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            let failed_before = self.failures.len();
            let mut index = 0;
            while let Some((address, attempt)) = self.waiting.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        self.failures.push((*address, error));
                        drop(self.waiting.remove(index));
                    }
                    Poll::Pending => index += 1,
                }
            }
            let one_has_failed = self.failures.len() > failed_before;
            if self.left.len() == 0 && self.waiting.is_empty() {
                return Poll::Ready(Err(self.error()));
            }
            if self.left.len() == 0 || !(one_has_failed || Pin::new(&mut self.next).poll(cx).is_ready()) {
                return Poll::Pending;
            }
            self.waiting.extend(
                self.left
                    .next()
                    .map(|address| (address, Box::pin(TcpStream::connect_to(address)) as Attempt)),
            );
            self.next.reset(now() + DELAY);
        }
    }

    /// All failures in one, in the order in which they came.
    fn error(&mut self) -> io::Error {
        let kind = self.failures.last().map_or(io::ErrorKind::Other, |(_, error)| error.kind());
        let each: Vec<_> =
            self.failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
        io::Error::new(kind, format!("none of {} addresses answers: {}", each.len(), each.join("; ")))
    }
}

/// Addresses of both families by turns, in their order otherwise.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut second = second.into_iter();
    let mut all = Vec::with_capacity(first.len() + second.len());
    for address in first {
        all.push(address);
        all.extend(second.next());
    }
    all.extend(second);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_tried_by_turns_beginning_with_that_of_the_first() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            text.split(' ').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect()
        };
        for (given, tried) in [
            ("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1", "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1"),
            ("1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1", "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1"),
            ("1.1.1.1:1 2.2.2.2:1 [::1]:1 [::2]:1", "1.1.1.1:1 [::1]:1 2.2.2.2:1 [::2]:1"),
            ("2.2.2.2:1 1.1.1.1:1", "2.2.2.2:1 1.1.1.1:1"),
            ("", ""),
        ] {
            assert_eq!(by_turns(addresses(given)), addresses(tried), "{given}");
        }
    }
}
