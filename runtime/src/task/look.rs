//! The table of tasks as dumps and spans see it.
//!
//! Next: [`queue`](super::queue), the order of the tasks that are ready.

use std::borrow::Cow;

use super::row::{Key, Row, Stage};
use super::table::Tasks;
#[cfg(feature = "tracing")]
use crate::id;

impl Tasks {
    /// Names a task that is there.
    pub(super) fn set_name(&mut self, key: Key, name: Cow<'static, str>) {
        if self.get_mut(key).is_some() {
            self.names.insert(key.row, name);
        }
    }

    pub(crate) fn name(&self, row: u32) -> Option<Cow<'static, str>> {
        self.names.get(&row).cloned()
    }

    /// The id of the span of a task that was woken, if it is there and not over: `Some(None)`
    /// while it is being polled.
    #[cfg(feature = "tracing")]
    pub(crate) fn woken_span(&self, row: u32, generation: u32) -> Option<Option<tracing::Id>> {
        let task = self.rows.get(row as usize)?;
        let is_there = !task.stage.is_over() && id::task_generation(task.serial) == generation;
        is_there.then(|| task.task.as_ref()?.span()?.id())
    }

    /// The task that has this row.
    pub(crate) fn key_of(&self, row: u32) -> Option<Key> {
        let serial = self.rows.get(row as usize)?.serial;
        (serial != 0).then_some(Key { row, serial })
    }

    /// Before a walk over the rows.
    pub(crate) fn begin_walk(&mut self) {
        self.occupied.tidy(&self.rows, self.len(), |row| row.stage != Stage::Free);
    }

    /// The rows of all tasks that are there now.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Key, &Row)> {
        let rows = self.occupied.rows(&self.rows).filter(|(_, task)| task.stage != Stage::Free);
        rows.map(|(row, task)| (Key { row, serial: task.serial }, task))
    }
}
