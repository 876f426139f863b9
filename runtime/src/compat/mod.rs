//! The traits of the ecosystem, each behind a feature, on the same few methods of the sockets.
//!
//! Next: [`polled`].

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
mod polled;
#[cfg(feature = "tokio-io")]
mod tokio_io;

pub(crate) use buffer::{BUFFER_SIZE, with_buffer};

/// A buffer for reads whose destination is not initialised, and for writes of several parts.
mod buffer {
    use std::cell::RefCell;

    /// Enough for the largest record of TLS; a read of more takes more than one call.
    pub(crate) const BUFFER_SIZE: usize = 16 * 1024;

    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Lends the thread's buffer, as much of it as there is `room` for elsewhere. It is taken out
    /// meanwhile: `f` may run foreign code (a waker's) that needs one too.
    pub(crate) fn with_buffer<R>(room: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let length = room.min(BUFFER_SIZE);
        // The destructor of another thread-local may run a runtime when this one is gone.
        let mut buffer = BUFFER.try_with(RefCell::take).unwrap_or_default();
        if buffer.len() < length {
            buffer.reserve_exact(length - buffer.len());
            buffer.resize(length, 0);
        }
        let result = f(&mut buffer[..length]);
        let _ = BUFFER.try_with(|place| place.replace(buffer));
        result
    }
}
