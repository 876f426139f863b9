//! Running a user's destructors and foreign wakers so that a panic in one stops there.
//!
//! Used where there is nobody to hand the panic to (the panic hook has reported it), and others
//! must still have their turn: a batch of wakes, the tasks that are left when a runtime ends.
//!
//! Next: [`signal`](crate::signal), which stands on all of this.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f`; a panic in it ends here.
pub(crate) fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // The payload's own destructor may panic. To leak it is the end of that.
        std::mem::forget(payload);
    }
}
