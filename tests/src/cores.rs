//! Several threads with a runtime each.

use std::ops::Deref;
use std::sync::mpsc;
use std::thread::{self, JoinHandle, ThreadId};

use gather::{Handle, run};

use crate::gate::Gate;

/// Runtimes on threads of their own. They end when this is dropped.
#[derive(Debug)]
pub struct Cores(Vec<Core>);

/// One of them.
#[derive(Debug)]
pub struct Core {
    /// To reach it.
    pub handle: Handle,
    stop: Gate,
    thread: Option<JoinHandle<()>>,
}

impl Core {
    fn start() -> Core {
        let (sender, receiver) = mpsc::channel();
        let stop = Gate::new();
        let stopped = stop.pass();
        let thread = thread::spawn(move || {
            run(async {
                sender.send(Handle::current()).expect("the test waits for it");
                stopped.await;
            });
        });
        let handle = receiver.recv().expect("the thread runs a runtime");
        Core { handle, stop, thread: Some(thread) }
    }

    /// Its thread.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn thread(&self) -> ThreadId {
        self.thread.as_ref().expect("it runs").thread().id()
    }
}

impl Cores {
    /// Starts so many.
    pub fn start(count: usize) -> Cores {
        Cores((0..count).map(|_| Core::start()).collect())
    }

    /// To reach them.
    pub fn handles(&self) -> Vec<Handle> {
        self.0.iter().map(|core| core.handle.clone()).collect()
    }

    /// Which threads they have.
    pub fn threads(&self) -> Vec<ThreadId> {
        self.0.iter().map(Core::thread).collect()
    }
}

impl Deref for Cores {
    type Target = [Core];

    fn deref(&self) -> &[Core] {
        &self.0
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.0.iter().for_each(|core| core.stop.open());
        for core in &mut self.0 {
            let ended = core.thread.take().expect("it was started").join();
            // In a test that fails already, its panic says more.
            assert!(ended.is_ok() || thread::panicking(), "a core panicked");
        }
    }
}
