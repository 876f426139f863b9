//! The feature `tracing`: spans of tasks, gathers and children, as subscribers see them.

#![allow(unused_crate_dependencies, missing_docs)]

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use gather::{Builder, gather, run, scope, sleep, spawn, spawn_blocking, yield_now};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// What happened to one span.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: String,
    target: String,
    parent: Option<u64>,
    fields: HashMap<String, String>,
    entered: usize,
    is_closed: bool,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// Everything that a subscriber was told: spans by their ids, and the fields of events.
#[derive(Clone, Default)]
struct Log {
    spans: Arc<Mutex<HashMap<u64, Seen>>>,
    events: Arc<Mutex<Vec<Seen>>>,
}

impl Log {
    /// The spans with this name, in the order of their ids: that in which they were opened, as
    /// long as none has closed, for the registry hands the ids of those out again.
    fn named(&self, name: &str) -> Vec<(u64, Seen)> {
        let spans = self.spans.lock().unwrap();
        let mut named: Vec<_> = spans
            .iter()
            .filter(|(_, seen)| seen.name == name)
            .map(|(id, seen)| (*id, seen.clone()))
            .collect();
        named.sort_by_key(|(id, _)| *id);
        named
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.id().into_u64());
        let (name, target) = (metadata.name().to_owned(), metadata.target().to_owned());
        let mut seen = Seen { name, target, parent, ..Seen::default() };
        attributes.record(&mut seen);
        self.spans.lock().unwrap().insert(id.into_u64(), seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(self.spans.lock().unwrap().get_mut(&id.into_u64()).unwrap());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut seen = Seen { target: event.metadata().target().to_owned(), ..Seen::default() };
        event.record(&mut seen);
        self.events.lock().unwrap().push(seen);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.spans.lock().unwrap().get_mut(&id.into_u64()).unwrap().entered += 1;
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.spans.lock().unwrap().get_mut(&id.into_u64()).unwrap().is_closed = true;
    }
}

/// Runs a future, and gives what a subscriber was told meanwhile.
fn logged<F: Future>(future: F) -> Log {
    let log = Log::default();
    // Ids of the registry are used again, so nothing that closed may be overwritten: each test has
    // few.
    with_default(Registry::default().with(log.clone()), || run_virtually(future));
    log
}

/// On this clock a sleep is never over before its first poll, however busy the machine.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

#[test]
fn a_task_is_a_span_with_the_fields_that_tokio_console_reads() {
    let line = line!() + 2;
    let log = logged(async {
        let task = spawn(async {
            yield_now().await;
        });
        task.named("worker").await.unwrap();
    });
    let [(_, task)] = &log.named("runtime.spawn")[..] else { panic!("one task") };
    assert_eq!((task.target.as_str(), task.parent), ("tokio::task", None));
    let expected =
        [("kind", "task"), ("task.name", "worker"), ("loc.file", file!()), ("loc.line", &line.to_string())];
    for (field, value) in expected {
        assert_eq!(task.fields[field], value, "{field}");
    }
    assert!(task.fields.contains_key("task.id") && task.fields.contains_key("loc.col"));
    assert_eq!((task.entered, task.is_closed), (2, true), "entered for each poll");
}

#[test]
fn a_wake_of_a_task_is_an_event_with_the_id_of_its_span() {
    let log = logged(async {
        let task = spawn(sleep(Duration::from_millis(1)));
        task.await.unwrap();
    });
    let (id, _) = log.named("runtime.spawn")[0];
    let events = log.events.lock().unwrap();
    let wakes: Vec<_> = events.iter().filter(|event| event.target == "tokio::task::waker").collect();
    let of_the_task = wakes.iter().filter(|event| event.fields["task.id"] == id.to_string());
    assert_eq!(of_the_task.count(), 1, "{wakes:?}");
    assert!(wakes.iter().all(|event| event.fields["op"] == "waker.wake"));
}

#[test]
fn a_gather_and_each_of_its_children_are_spans_one_inside_the_other() {
    let log = logged(async {
        let child = async |_| {
            yield_now().await;
            tracing::info!("inside");
        };
        spawn(async move { gather((0..3).map(child)).limit(2).named("pages").capture().await })
            .await
            .unwrap();
    });
    let (task, _) = log.named("runtime.spawn")[0];
    let (id, gather) = log.named("gather")[0].clone();
    assert_eq!((gather.target.as_str(), gather.parent, gather.is_closed), ("gather", Some(task), true));
    assert_eq!((gather.fields["kind"].as_str(), gather.fields["name"].as_str()), ("gather", "pages"));
    assert_eq!(gather.fields["loc.file"], file!());
    let children = log.named("child");
    assert!(
        children.iter().all(|(_, child)| child.parent == Some(id) && child.is_closed && child.entered == 2)
    );
    let mut indices: Vec<_> = children.iter().map(|(_, child)| child.fields["index"].clone()).collect();
    indices.sort();
    // A span whose id was used again after its end is not seen twice, so the last of the slot
    // stands for it.
    assert!(indices.contains(&"2".to_owned()) && indices.len() >= 2, "{indices:?}");
}

#[test]
fn a_scope_is_a_span_at_the_place_where_it_was_called() {
    let line = line!() + 1;
    let log = logged(scope(async |s| {
        s.spawn(async {
            yield_now().await;
            Ok::<_, ()>(())
        });
        Ok(())
    }));
    let (_, scope) = log.named("gather")[0].clone();
    assert_eq!(
        (scope.fields["kind"].as_str(), scope.fields["loc.line"].as_str()),
        ("scope", line.to_string().as_str())
    );
}

#[test]
fn a_chrome_trace_has_a_bar_for_each_poll_of_tasks_gathers_and_children() {
    let path = std::env::temp_dir().join(format!("gather-trace-{}.json", std::process::id()));
    {
        let (chrome, guard) =
            tracing_chrome::ChromeLayerBuilder::new().file(&path).include_args(true).build();
        with_default(Registry::default().with(chrome), || {
            run(async {
                spawn(async { gather((0..2).map(async |_| yield_now().await)).capture().await })
                    .await
                    .unwrap();
            });
        });
        drop(guard);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let events: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let begun = |name| events.iter().filter(|event| event["name"] == name && event["ph"] == "B").count();
    // The gather is polled twice, each child too, and their task.
    assert_eq!((begun("runtime.spawn"), begun("gather"), begun("child")), (2, 2, 4));
}

/// Asks the runtime something each time that a task is woken, as a subscriber may.
struct Curious(Arc<Mutex<usize>>);

impl<S: Subscriber> Layer<S> for Curious {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tokio::task::waker" {
            gather::Handle::current().metrics();
            gather::dump();
            *self.0.lock().unwrap() += 1;
        }
    }
}

#[test]
fn a_subscriber_may_look_at_the_runtime_whatever_wakes_a_task() {
    let wakes = Arc::default();
    with_default(Registry::default().with(Curious(Arc::clone(&wakes))), || {
        run_virtually(async {
            let tasks = [spawn(sleep(Duration::from_millis(1))), spawn(sleep(Duration::from_millis(1)))];
            gather(tasks).await.unwrap();
            spawn(yield_now()).await.unwrap();
        });
    });
    assert!(*wakes.lock().unwrap() >= 3);
}

/// A subscriber that panics the first time that it is told of something.
struct Panics(Arc<AtomicBool>);

impl<S: Subscriber> Layer<S> for Panics {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        assert!(!self.0.swap(false, Ordering::SeqCst), "a subscriber panics");
    }
}

#[test]
fn a_subscriber_that_panics_when_it_is_told_of_a_wake_costs_nobody_the_wake() {
    let by_a_timer = async || sleep(Duration::from_millis(1)).await;
    let by_another_thread = async || {
        // It ends when the task has begun to wait for it.
        let (end, ends) = mpsc::channel::<()>();
        let mut thread = pin!(spawn_blocking(move || ends.recv().is_err()));
        let mut end = Some(end);
        poll_fn(|cx| {
            let polled = thread.as_mut().poll(cx);
            drop(end.take());
            polled
        })
        .await
        .unwrap();
    };
    let wait_three_times = |is_timer: bool| {
        let armed = Arc::new(AtomicBool::new(true));
        with_default(Registry::default().with(Panics(armed.clone())), || {
            run_virtually(async {
                let tasks = [(); 3].map(|()| {
                    spawn(
                        async move { if is_timer { by_a_timer().await } else { by_another_thread().await } },
                    )
                });
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
        assert!(!armed.load(Ordering::SeqCst), "it was told of a wake");
    };
    wait_three_times(true);
    wait_three_times(false);
}
