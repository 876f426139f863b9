//! The guide: what there is, what to watch out for, how to look inside, and what it costs. It has
//! no code of its own.
//!
//! | | for |
//! |---|---|
//! | [`modes`] | all ways to run futures side by side: what ends each, what it gives, what happens to the others |
//! | [`footguns`] | what goes wrong, why, and what to write instead |
//! | [`looking_inside`] | the dump of a program that runs, and the warning of one that does not go on |
//! | [`costs`] | what each hot path costs: instructions, allocations, system calls |
//! | [`from_asyncio`] | for people coming from Python's asyncio |
//! | [`from_tokio`] | for people coming from tokio |
//! | [`libraries_that_want_tokio`] | reqwest, sqlx, redis and others beside a tokio runtime |
//! | [`from_futures`] | for people coming from the combinators of the crate futures |
//!
//! Every program in it runs as a test, and the dumps are compared with what the programs print.
//!
//! Next: [`modes`].

pub mod costs;
pub mod footguns;
pub mod from_asyncio;
pub mod from_futures;
pub mod from_tokio;
pub mod libraries_that_want_tokio;
pub mod looking_inside;
pub mod modes;
