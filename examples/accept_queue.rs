//! The queue of a listener: connections that the system has made, and that the program has not
//! accepted yet.
//!
//! Closing a listener resets the connections in its queue, although their clients may have sent a
//! request already. So a server that ends first has the queue closed at its far end, then accepts
//! the connections in it, and closes the listener at last.

use std::io;

use socket2::Socket;

/// Makes the system refuse to begin new connections, while those in the queue can be accepted, and
/// those whose handshake is under way complete it.
///
/// Linux drops the first packet of each new connection. Its client sends the packet again a second
/// later, and is refused if the listener is closed by then.
///
/// # Errors
///
/// If the system cannot do that. The listener then works as before, and a connection that comes
/// between the last `accept` and the end of the listener is reset.
pub fn close(listener: &Socket) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use socket2::SockFilter;

        // A program for the system's packet filter, which sees a packet from its TCP header on.
        // The numbers are from Linux's headers.
        const FLAGS: u32 = 13; // the offset of the flags
        const SYN: u32 = 0x02; // the flag that only the first packet of a client has
        listener.attach_filter(&[
            SockFilter::new(0x30, 0, 0, FLAGS),    // load the byte
            SockFilter::new(0x45, 0, 1, SYN),      // skip one instruction unless the flag is set
            SockFilter::new(0x06, 0, 0, 0),        // drop the packet
            SockFilter::new(0x06, 0, 0, u32::MAX), // take the whole packet
        ])
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = listener;
        Err(io::ErrorKind::Unsupported.into())
    }
}
