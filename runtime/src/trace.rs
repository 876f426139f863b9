//! Spans of tasks, groups and children, for the feature `tracing`. Without the feature nothing is
//! left of all this.
//!
//! A span is open from the start of a task, a gather or a child to its end, and entered while that
//! is polled: what is logged inside shows where it belongs. Those of tasks have the names that
//! tokio-console knows (`runtime.spawn`, target `tokio::task`, and events of wakes with the target
//! `tokio::task::waker`).
//!
//! A subscriber is a user's code: none of these is called while a table is borrowed.
//!
//! Next: [`compat`](crate::compat), the traits of other libraries.

#[cfg(not(feature = "tracing"))]
pub use off::Span;
#[cfg(feature = "tracing")]
pub use on::Span;
#[cfg(feature = "tracing")]
pub(crate) use on::note_wake;

#[cfg(not(feature = "tracing"))]
mod off {
    use std::panic::Location;

    use crate::group::Label;

    /// Nothing, without the feature `tracing`.
    #[derive(Clone, Debug, Default)]
    pub struct Span;

    impl Span {
        /// No span.
        pub const NONE: Span = Span;

        pub(crate) fn of_task(_: &'static Location<'static>) -> Span {
            Span
        }

        pub(crate) fn of_group(_: &Label) -> Span {
            Span
        }

        pub(crate) fn of_child(&self, _: usize) -> Span {
            Span
        }

        pub(crate) fn set_id(&self, _: u64) {}

        pub(crate) fn set_name(&self, _: &str) {}

        /// Runs `f` inside the span.
        #[inline(always)]
        pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
            f()
        }
    }
}

#[cfg(feature = "tracing")]
mod on {
    use std::panic::Location;

    use tracing::field::Empty;
    use tracing::{Id, trace, trace_span};

    use crate::group::Label;

    /// The span of a task, a group or a child.
    #[derive(Clone, Debug, Default)]
    pub struct Span(Option<tracing::Span>);

    impl Span {
        /// No span.
        pub const NONE: Span = Span(None);

        pub(crate) fn of_task(spawned_at: &'static Location<'static>) -> Span {
            Span(Some(trace_span!(
                target: "tokio::task",
                parent: None,
                "runtime.spawn",
                kind = "task",
                task.name = Empty,
                task.id = Empty,
                loc.file = spawned_at.file(),
                loc.line = spawned_at.line(),
                loc.col = spawned_at.column(),
            )))
        }

        /// Inside the span of whoever polls the group first.
        pub(crate) fn of_group(label: &Label) -> Span {
            let Label { kind, name, place } = label;
            Span(Some(trace_span!(
                target: "gather",
                "gather",
                kind,
                name = name.as_deref(),
                loc.file = place.file(),
                loc.line = place.line(),
                loc.col = place.column(),
            )))
        }

        /// Inside the span of the group.
        pub(crate) fn of_child(&self, index: usize) -> Span {
            Span(Some(trace_span!(target: "gather", parent: self.id(), "child", index)))
        }

        pub(crate) fn set_id(&self, id: u64) {
            if let Some(span) = &self.0 {
                span.record("task.id", id);
            }
        }

        pub(crate) fn set_name(&self, name: &str) {
            if let Some(span) = &self.0 {
                span.record("task.name", name);
            }
        }

        pub(crate) fn id(&self) -> Option<Id> {
            self.0.as_ref()?.id()
        }

        /// Runs `f` inside the span.
        #[inline]
        pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
            match &self.0 {
                Some(span) => span.in_scope(f),
                None => f(),
            }
        }
    }

    /// A task was woken. One that is being polled has none in its row: then it is the current
    /// span, or the one in which that is.
    pub(crate) fn note_wake(task: Option<Id>) {
        if let Some(id) = task.or_else(|| tracing::Span::current().id()) {
            trace!(target: "tokio::task::waker", op = "waker.wake", task.id = id.into_u64());
        }
    }
}
