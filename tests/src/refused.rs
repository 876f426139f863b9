//! What the compiler has to refuse, each with the error that says why.
//!
//! A runtime stays on its thread:
//!
//! ```compile_fail,E0277
//! fn is_send<T: Send>() {}
//! is_send::<gather::Runtime>();
//! ```
//!
//! ```compile_fail,E0277
//! fn is_sync<T: Sync>() {}
//! is_sync::<gather::Runtime>();
//! ```
//!
//! A task's handle brings its output along, so it goes only where that may go; and so do a gather's children:
//!
//! ```compile_fail,E0277
//! fn is_send<T: Send>() {}
//! is_send::<gather::Task<std::rc::Rc<()>>>();
//! ```
//!
//! ```compile_fail,E0277
//! fn is_send<T: Send>(_: T) {}
//! let shared = std::rc::Rc::new(());
//! is_send(gather::gather([async move { drop(shared) }]).capture());
//! ```
//!
//! What crosses over to another thread has to be `Send`: the closure and the output, not the future.
//!
//! ```compile_fail,E0277
//! gather::run(async { gather::Handle::current().spawn(|| async { std::rc::Rc::new(()) }).await });
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(());
//! gather::run(async move { gather::spawn_blocking(move || drop(shared)).await });
//! ```
//!
//! A task outlives its spawner, so it may not borrow from it; a child of a gather may:
//!
//! ```compile_fail,E0597
//! gather::run(async {
//!     let text = String::from("borrowed");
//!     gather::spawn(async { text.len() }).await
//! });
//! ```
//!
//! ```
//! let length = gather::run(async {
//!     let text = String::from("borrowed");
//!     gather::gather([async { text.len() }]).capture().await
//! });
//! assert_eq!(length, [8]);
//! ```
