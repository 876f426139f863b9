//! What became of the children of a capture: successes, failures, and one error for all failures.
//!
//! Nothing is lost on the way: every failure keeps the index of its child.
//!
//! Next: [`list`](crate::list), gathering futures of different types.

use std::error::Error;
use std::fmt;

/// Successes and failures among results, with the indices of the children that gave them.
///
/// For what a [`capture`](crate::Gather::capture) of children that return `Result` returns, a
/// `Vec` of results, and for all else that is a slice of results.
///
/// ```
/// use gather::Outcomes;
///
/// let outcomes = vec![Ok(10), Err("timeout"), Ok(30), Err("refused")];
/// assert_eq!(outcomes.successes().collect::<Vec<_>>(), [(0, &10), (2, &30)]);
/// assert_eq!(outcomes.failures().collect::<Vec<_>>(), [(1, &"timeout"), (3, &"refused")]);
/// let error = outcomes.into_result().unwrap_err();
/// assert_eq!(error.to_string(), "2 of 4 failed: #1: timeout; #3: refused");
/// ```
pub trait Outcomes<T, E>: AsRef<[Result<T, E>]> {
    /// The successes, each with its index.
    fn successes<'a>(&'a self) -> impl Iterator<Item = (usize, &'a T)>
    where
        T: 'a,
        E: 'a,
    {
        self.as_ref().iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.as_ref().ok()?)))
    }

    /// The failures, each with its index.
    fn failures<'a>(&'a self) -> impl Iterator<Item = (usize, &'a E)>
    where
        T: 'a,
        E: 'a,
    {
        self.as_ref().iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.as_ref().err()?)))
    }

    /// How many succeeded.
    fn success_count(&self) -> usize {
        self.as_ref().iter().filter(|outcome| outcome.is_ok()).count()
    }

    /// How many failed.
    fn failure_count(&self) -> usize {
        self.as_ref().len() - self.success_count()
    }

    /// All failures as one error; `None` if there are none. It borrows: to return it, use
    /// [`into_result`](Outcomes::into_result).
    fn compound_error<'a>(&'a self) -> Option<GatherError<&'a E>>
    where
        T: 'a,
    {
        let failures: Vec<_> = self.failures().collect();
        if failures.is_empty() { None } else { Some(GatherError { failures, total: self.as_ref().len() }) }
    }

    /// All values in order, or all failures as one error.
    ///
    /// # Errors
    ///
    /// If any has failed. The values of those that succeeded are dropped then.
    fn into_result(self) -> Result<Vec<T>, GatherError<E>>
    where
        Self: IntoIterator<Item = Result<T, E>> + Sized,
    {
        let total = self.as_ref().len();
        let (mut values, mut failures) = (Vec::new(), Vec::new());
        for (index, outcome) in self.into_iter().enumerate() {
            match outcome {
                Ok(value) => values.push(value),
                Err(error) => failures.push((index, error)),
            }
        }
        if failures.is_empty() { Ok(values) } else { Err(GatherError { failures, total }) }
    }
}

impl<T, E, R: AsRef<[Result<T, E>]> + ?Sized> Outcomes<T, E> for R {}

/// Every failure of a gather, each with the index of its child.
///
/// It displays as `2 of 5 failed: #1: …; #3: …`, and its [`source`](Error::source) is the first
/// failure. It is an [`Error`] if `E` is one; for an `E` that is only text,
/// `.map_err(|error| error.to_string())` goes on with the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatherError<E> {
    /// In the order of their indices.
    failures: Vec<(usize, E)>,
    /// How many children there were.
    total: usize,
}

impl<E> GatherError<E> {
    pub(crate) fn new(mut failures: Vec<(usize, E)>, total: usize) -> GatherError<E> {
        failures.sort_unstable_by_key(|(index, _)| *index);
        GatherError { failures, total }
    }

    /// The failures, in the order of their indices. There is at least one, unless what failed is a
    /// [`first_ok`](crate::Gather::first_ok) of no children, or a quorum of too few.
    pub fn failures(&self) -> &[(usize, E)] {
        &self.failures
    }

    /// The failures, to be kept.
    pub fn into_failures(self) -> Vec<(usize, E)> {
        self.failures
    }

    /// How many children there were, failed or not.
    pub fn total(&self) -> usize {
        self.total
    }
}

impl<E: fmt::Display> fmt::Display for GatherError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} failed", self.failures.len(), self.total)?;
        for (position, (index, error)) in self.failures.iter().enumerate() {
            let separator = if position == 0 { ": " } else { "; " };
            write!(f, "{separator}#{index}: {error}")?;
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for GatherError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failures.first().map(|(_, error)| error as &(dyn Error + 'static))
    }
}
