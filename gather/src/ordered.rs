//! Outputs that come in any order and are given in the order of the input.
//!
//! ```text
//!   done   │ 0 │ 1 │ 2 │            every output before the first that is missing
//!   ahead          missing │ - │ 5 │ - │ 7 │     those that came early, from the first missing one on
//! ```
//!
//! When the first missing one comes, it and those right behind it move to `done`. So the result is a plain `Vec`
//! at the end, without another pass, and outputs that come in order never see `ahead`.
//!
//! Next: [`policy`](crate::policy), what is done with them.

use std::collections::VecDeque;

use crate::panics::FirstPanic;

/// The outputs of a gather, by index.
#[derive(Debug)]
pub(crate) struct Ordered<T> {
    done: Vec<T>,
    /// The front is the output with index `done.len()`. It is missing, or `ahead` is empty.
    ahead: VecDeque<Option<T>>,
}

impl<T> Ordered<T> {
    pub(crate) const fn new() -> Ordered<T> {
        Ordered { done: Vec::new(), ahead: VecDeque::new() }
    }

    /// Expects this many outputs. Only a hint: if there is no memory for that many, it is not followed.
    pub(crate) fn expect(&mut self, count: usize) {
        let _ = self.done.try_reserve_exact(count);
    }

    /// Puts an output in its place. Each index comes once.
    #[inline(always)]
    pub(crate) fn insert(&mut self, index: usize, output: T) {
        if index == self.done.len() && self.ahead.is_empty() {
            self.done.push(output);
        } else {
            self.insert_ahead(index, output);
        }
    }

    #[cold]
    fn insert_ahead(&mut self, index: usize, output: T) {
        assert!(index >= self.done.len(), "the output of child {index} was kept before");
        let offset = index - self.done.len();
        if self.ahead.len() <= offset {
            self.ahead.resize_with(offset + 1, || None);
        }
        self.ahead[offset] = Some(output);
        while let Some(Some(_)) = self.ahead.front() {
            self.done.extend(self.ahead.pop_front().flatten());
        }
    }

    /// Drops the outputs.
    pub(crate) fn clear(&mut self, panics: &mut FirstPanic) {
        let ahead = std::mem::take(&mut self.ahead).into_iter().flatten();
        for output in std::mem::take(&mut self.done).into_iter().chain(ahead) {
            panics.catch(|| drop(output));
        }
    }

    /// The outputs, if none is missing.
    pub(crate) fn into_vec(self) -> Vec<T> {
        assert!(self.ahead.is_empty(), "the output of child {} is missing", self.done.len());
        self.done
    }

    /// The outputs, and `None` for those that are missing: `least`, or `wanted` if that is more and there is memory for it.
    pub(crate) fn into_options(self, least: usize, wanted: usize) -> Vec<Option<T>> {
        let mut all: Vec<_> = self.done.into_iter().map(Some).chain(self.ahead).collect();
        let has_room = wanted > least && all.try_reserve_exact(wanted - all.len().min(wanted)).is_ok();
        let count = if has_room { wanted } else { least };
        all.resize_with(count.max(all.len()), || None);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_coming_gives_the_order_of_the_indices() {
        // All orders of five, by Heap's algorithm.
        fn permute(order: &mut [usize], len: usize, check: &mut impl FnMut(&[usize])) {
            if len <= 1 {
                return check(order);
            }
            for turn in 0..len {
                permute(order, len - 1, check);
                order.swap(if len % 2 == 0 { turn } else { 0 }, len - 1);
            }
        }
        let mut orders = 0;
        permute(&mut [0, 1, 2, 3, 4], 5, &mut |order| {
            let mut outputs = Ordered::new();
            order.iter().for_each(|index| outputs.insert(*index, index * 10));
            assert_eq!(outputs.into_vec(), [0, 10, 20, 30, 40]);
            orders += 1;
        });
        assert_eq!(orders, 120);
    }

    #[test]
    fn an_expectation_that_no_memory_can_meet_is_ignored() {
        let mut outputs = Ordered::new();
        outputs.expect(usize::MAX);
        outputs.insert(0, 1u64);
        assert_eq!(outputs.into_vec(), [1]);
    }
}
