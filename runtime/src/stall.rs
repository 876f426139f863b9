//! Noticing that something does not go on.
//!
//! A gather's children are polled by the gather, and that by whoever awaits it. Who holds a gather
//! without polling it, while children of it have been woken, may wait for what one of those
//! children has: a lock, a permit, a place in a queue
//! ([futurelock](https://github.com/oxidecomputer/omicron/issues/9259)). The runtime sees both
//! sides: a row with children in its queue, and no poll. So it can say so exactly, and all that it
//! costs is a look at the rows now and then.
//!
//! On the virtual clock more is known: when nothing is ready, no timer is set, no socket is open
//! and no thread of the pool is at work, only another thread could still wake something. If none
//! does for a while, all tasks are asleep for ever.
//!
//! Next: [`budget`](crate::budget), which keeps one task from starving the others.

use std::io::{self, Write};
use std::time::Duration;

use crate::dump::collect;
use crate::group::Label;
use crate::local::Local;

/// How long the loop waits for a wake from another thread, in real time, before it takes it for
/// certain that none comes.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// That stalled gathers are to be reported, and how. The loop calls what it finds here, and knows
/// of no report itself: so a program that asks for none has no code for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StallWarning {
    after: Duration,
    report: fn(&Local, Duration) -> Option<Duration>,
}

impl StallWarning {
    pub(crate) fn new(after: Duration) -> StallWarning {
        StallWarning { after, report: Local::report_stalled }
    }
}

impl Local {
    /// Reports stalled gathers, if that was asked for. Returns how long it is until there may be
    /// another.
    #[inline]
    pub(crate) fn look_for_stalled(&self) -> Option<Duration> {
        self.stall_warning().and_then(|warning| (warning.report)(self, warning.after))
    }

    /// Reports gathers that were not polled for too long since a child of theirs was woken, each
    /// once.
    fn report_stalled(&self, after: Duration) -> Option<Duration> {
        self.note_time();
        let after = u32::try_from(after.as_millis()).unwrap_or(u32::MAX).max(1);
        let (stalled, next) = self.groups.borrow_mut().find_stalled(after, self.now());
        if !stalled.is_empty() {
            let which = stalled.iter().map(Label::to_string).collect::<Vec<_>>().join(", ");
            // A warning that nobody can read is no reason to panic.
            let _ = writeln!(
                io::stderr(),
                "gather: children of a gather were woken {after} ms ago or more, and nobody has polled the gather since: {which}. \
                 Either a poll takes that long, or the gather is held without being awaited; then its children may hold what \
                 others wait for.\n{}",
                collect(self, false)
            );
        }
        next.map(|next| Duration::from_millis(next.into()))
    }

    /// Nothing can wake anything any more.
    #[cold]
    pub(crate) fn all_asleep(&self) -> ! {
        panic!(
            "all tasks are asleep: nothing is ready, no timer is set, no socket is open, and no thread has woken anything for \
             {GRACE:?}. This would wait for ever.\n{}",
            collect(self, false)
        )
    }

    /// Whether only another thread can still wake something.
    pub(crate) fn is_all_asleep(&self) -> bool {
        let pool_is_busy = self.pool.borrow().as_ref().is_some_and(|pool| pool.is_busy());
        !self.has_ready()
            && !pool_is_busy
            && self.timers.borrow().next_turn().is_none()
            && self.sources.borrow().len() == 0
    }
}
