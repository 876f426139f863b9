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
//! A task's handle brings its output along, so it goes only where that may go; and so do a
//! gather's children:
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
//! What crosses over to another thread has to be `Send`: the closure and the output, not the
//! future.
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
//!
//! A `gather!` of no futures has nothing to give; of one it gives a tuple of one, and one that is
//! called `capture` is a future:
//!
//! ```compile_fail
//! let nothing = gather::gather!();
//! ```
//!
//! ```compile_fail
//! let nothing = gather::gather!(capture;);
//! ```
//!
//! ```
//! let capture = async { Ok::<_, ()>(1) };
//! assert_eq!(gather::run(gather::gather!(capture)), Ok((1,)));
//! ```
//!
//! # Scopes
//!
//! Each with a twin that differs in one thing and compiles, so that it is that which is refused.
//!
//! The scope does not leave its body: not in an output, not in a variable, not through a child.
//!
//! ```compile_fail
//! let mut kept = None;
//! gather::run(gather::scope(async |s| { kept = Some(s); Ok::<_, ()>(()) })).unwrap();
//! ```
//!
//! ```
//! let mut kept = None;
//! gather::run(gather::scope(async |s| { kept = Some(s.len()); Ok::<_, ()>(()) })).unwrap();
//! ```
//!
//! ```compile_fail
//! let kept = std::cell::Cell::new(None);
//! gather::run(gather::scope(async |s| {
//!     let kept = &kept;
//!     s.spawn(async move { Ok::<_, ()>(kept.set(Some(s))) });
//!     Ok(())
//! }))
//! .unwrap();
//! ```
//!
//! ```
//! let kept = std::cell::Cell::new(None);
//! gather::run(gather::scope(async |s| {
//!     let kept = &kept;
//!     s.spawn(async move { Ok::<_, ()>(kept.set(Some(s.len()))) });
//!     Ok(())
//! }))
//! .unwrap();
//! ```
//!
//! A child does not borrow what is inside the body, which may end first; it may take it over.
//!
//! ```compile_fail,E0597
//! gather::run(gather::scope(async |s| {
//!     let text = String::from("inside");
//!     let text = &text;
//!     s.spawn(async move { Ok::<_, ()>(text.len()) });
//!     Ok(())
//! }))
//! .unwrap();
//! ```
//!
//! ```
//! gather::run(gather::scope(async |s| {
//!     let text = String::from("inside");
//!     let text = text;
//!     s.spawn(async move { Ok::<_, ()>(text.len()) });
//!     Ok(())
//! }))
//! .unwrap();
//! ```
//!
//! Nor does a child of an outer scope borrow an inner one, which ends first; the other way round
//! it may.
//!
//! ```compile_fail
//! gather::run(gather::scope(async |outer| {
//!     gather::scope(async |inner| {
//!         outer.spawn(async move { Ok(drop(inner.spawn(async { Ok::<_, ()>(()) }))) });
//!         Ok(())
//!     })
//!     .await
//! }))
//! .unwrap();
//! ```
//!
//! ```
//! gather::run(gather::scope(async |outer| {
//!     gather::scope(async |inner| {
//!         inner.spawn(async move { Ok(drop(outer.spawn(async { Ok::<_, ()>(()) }))) });
//!         Ok(())
//!     })
//!     .await
//! }))
//! .unwrap();
//! ```
//!
//! A handle does not outlive its scope; what it gives may.
//!
//! ```compile_fail
//! let mut kept = None;
//! gather::run(gather::scope(async |s| { kept = Some(s.spawn(async { Ok::<_, ()>(1) })); Ok(()) })).unwrap();
//! ```
//!
//! ```
//! let mut kept = None;
//! gather::run(gather::scope(async |s| { kept = Some(s.spawn(async { Ok::<_, ()>(1) }).await); Ok(()) })).unwrap();
//! ```
//!
//! A task is `'static` and a scope is not: neither it nor a handle of it gets into a task, nor is
//! there a scope that is static.
//!
//! ```compile_fail,E0521
//! gather::run(gather::scope(async |s| {
//!     let child = s.spawn(async { Ok::<_, ()>(()) });
//!     gather::spawn(async move { child.await }).await.unwrap().unwrap();
//!     Ok(())
//! }))
//! .unwrap();
//! ```
//!
//! ```
//! gather::run(gather::scope(async |s| {
//!     let child = s.spawn(async { Ok::<_, ()>(()) });
//!     s.spawn(async move { Ok(child.await) }).await.unwrap().unwrap();
//!     Ok(())
//! }))
//! .unwrap();
//! ```
//!
//! ```compile_fail,E0521
//! fn start(s: &'static gather::Scope<'static, 'static, ()>) { s.spawn(async { Ok(()) }); }
//! gather::run(gather::scope(async |s| Ok(start(s)))).unwrap();
//! ```
//!
//! ```
//! fn start<'scope>(s: &'scope gather::Scope<'scope, '_, ()>) { s.spawn(async { Ok(()) }); }
//! gather::run(gather::scope(async |s| Ok(start(s)))).unwrap();
//! ```
//!
//! Two children do not share what one of them changes; and what is borrowed stays until the scope
//! is gone.
//!
//! ```compile_fail,E0499
//! let (mut one, mut two) = (1, 2);
//! gather::run(gather::scope(async |s| {
//!     s.spawn(async { one += 1; Ok::<_, ()>(()) });
//!     s.spawn(async { one += 1; Ok(()) });
//!     Ok(two += 1)
//! }))
//! .unwrap();
//! ```
//!
//! ```
//! let (mut one, mut two) = (1, 2);
//! gather::run(gather::scope(async |s| {
//!     s.spawn(async { one += 1; Ok::<_, ()>(()) });
//!     s.spawn(async { two += 1; Ok(()) });
//!     Ok(())
//! }))
//! .unwrap();
//! assert_eq!((one, two), (2, 3));
//! ```
//!
//! ```compile_fail,E0505
//! let text = String::from("outside");
//! let all = gather::scope(async |s| { s.spawn(async { Ok::<_, ()>(text.len()) }); Ok(()) });
//! drop(text);
//! gather::run(all).unwrap();
//! ```
//!
//! ```
//! let text = String::from("outside");
//! let all = gather::scope(async |s| { s.spawn(async { Ok::<_, ()>(text.len()) }); Ok(()) });
//! gather::run(all).unwrap();
//! drop(text);
//! ```
//!
//! It stays on its thread, with all that belongs to it.
//!
//! ```compile_fail,E0277
//! gather::run(gather::scope(async |s| {
//!     std::thread::scope(|threads| { threads.spawn(|| s.cancel()); });
//!     Ok::<_, ()>(())
//! }))
//! .unwrap();
//! ```
//!
//! ```
//! gather::run(gather::scope(async |s| {
//!     std::thread::scope(|threads| { threads.spawn(|| ()); s.cancel() });
//!     Ok::<_, ()>(())
//! }))
//! .unwrap();
//! ```
