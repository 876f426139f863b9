//! The traits of tokio and of hyper for reading and writing: they have other names, and another
//! type for the buffer, and are the same otherwise.
//!
//! Next: [`futures_io`](super::futures_io).

/// Implements a trait for reading and one for writing, for some streams. The feature stands on
/// each impl, though the module has it: rustdoc shows it in `gather`, too, then.
macro_rules! read_and_write {
    ($feature:literal: $read:ident, $buffer:ty, $write:ident, for $($stream:ty),*) => {$(
        #[cfg(feature = $feature)]
        impl $read for $stream {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                #[allow(unused_mut, reason = "hyper's buffer is a value, tokio's a reference")]
                mut buffer: $buffer,
            ) -> std::task::Poll<std::io::Result<()>> {
                let wait = &mut self.source.poll_wait(crate::source::Direction::Read);
                self.source.poll_read_with(cx, wait, buffer.remaining(), |bytes| buffer.put_slice(bytes))
            }
        }

        #[cfg(feature = $feature)]
        impl $write for $stream {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.source.poll_write(cx, &mut self.source.poll_wait(crate::source::Direction::Write), bytes)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                parts: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.source.poll_write_vectored(cx, &mut self.source.poll_wait(crate::source::Direction::Write), parts)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(())) // nothing is kept back
            }

            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(self.shutdown(std::net::Shutdown::Write))
            }
        }
    )*};
}

pub(super) use read_and_write;
