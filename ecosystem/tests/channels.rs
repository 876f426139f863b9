//! Channels, locks and signals of other libraries between children of a gather, and from other
//! threads: async-channel, async-lock, event-listener, and `tokio::sync`, which needs no runtime
//! of tokio's.
//!
//! A library's waker may be called on any thread, under a lock of that library, and just when the
//! loop lies down; a wake that is lost leaves a test hanging.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use event_listener::Event;
use gather::{gather, run, yield_now};
use gather_tests::watchdog::finishes;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot, watch};

const MESSAGES: usize = 10_000;

/// Counts how many are inside at once.
#[derive(Default)]
struct Room {
    inside: Cell<usize>,
    most: Cell<usize>,
}

impl Room {
    async fn visit(&self) {
        self.inside.set(self.inside.get() + 1);
        self.most.set(self.most.get().max(self.inside.get()));
        yield_now().await;
        yield_now().await;
        self.inside.set(self.inside.get() - 1);
    }
}

#[test]
fn async_channel_carries_messages_from_threads_to_the_children_of_a_gather() {
    finishes(|| {
        run(async {
            // Short: both sides wait for each other again and again.
            let (sender, receiver) = async_channel::bounded(2);
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        for message in (thread..MESSAGES).step_by(4) {
                            sender.send_blocking(message).unwrap();
                        }
                    })
                })
                .collect();
            drop(sender);
            let received = gather((0..8).map(async |_| {
                let mut received = Vec::new();
                while let Ok(message) = receiver.recv().await {
                    received.push(message);
                }
                received
            }))
            .capture()
            .await;
            let mut all = received.concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..MESSAGES), "each comes once");
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
}

#[test]
fn tokios_mpsc_carries_messages_both_ways_between_a_gather_and_a_thread() {
    finishes(|| {
        run(async {
            let (to_thread, mut from_gather) = mpsc::channel(2);
            let (to_gather, mut from_thread) = mpsc::channel(2);
            let thread = thread::spawn(move || {
                while let Some(message) = from_gather.blocking_recv() {
                    to_gather.blocking_send(message * 2).unwrap();
                }
            });
            let sends = async move {
                for message in 0..MESSAGES {
                    to_thread.send(message).await.unwrap();
                }
            };
            let receives = async {
                let mut received = Vec::new();
                while let Some(message) = from_thread.recv().await {
                    received.push(message);
                }
                received
            };
            let ((), received) = gather::gather!(capture; sends, receives).await;
            assert!(received.into_iter().eq((0..MESSAGES).map(|message| message * 2)), "in order");
            thread.join().unwrap();
        });
    });
}

#[test]
fn tokios_mutex_and_semaphore_let_in_as_many_as_they_say() {
    finishes(|| {
        run(async {
            let (mutex, one) = (Mutex::new(0), Room::default());
            let (semaphore, three) = (Semaphore::new(3), Room::default());
            gather((0..200).map(async |_| {
                {
                    let _permit = semaphore.acquire().await.unwrap();
                    three.visit().await;
                }
                let mut count = mutex.lock().await;
                one.visit().await;
                *count += 1;
            }))
            .capture()
            .await;
            assert_eq!((*mutex.lock().await, one.most.get(), three.most.get()), (200, 1, 3));
            assert_eq!(semaphore.available_permits(), 3);
        });
    });
}

#[test]
fn async_locks_mutex_and_semaphore_let_in_as_many_as_they_say() {
    finishes(|| {
        run(async {
            let (mutex, one) = (async_lock::Mutex::new(0), Room::default());
            let (semaphore, three) = (async_lock::Semaphore::new(3), Room::default());
            gather((0..200).map(async |_| {
                {
                    let _permit = semaphore.acquire().await;
                    three.visit().await;
                }
                let mut count = mutex.lock().await;
                one.visit().await;
                *count += 1;
            }))
            .capture()
            .await;
            assert_eq!((*mutex.lock().await, one.most.get(), three.most.get()), (200, 1, 3));
        });
    });
}

#[test]
fn a_lock_or_a_permit_that_a_dropped_child_held_is_free_before_the_error_is_seen() {
    finishes(|| {
        run(async {
            let (mutex, semaphore) = (Mutex::new(()), async_lock::Semaphore::new(1));
            let holds = async {
                let (_guard, _permit) = (mutex.lock().await, semaphore.acquire().await);
                std::future::pending::<Result<(), &str>>().await
            };
            let waits = async {
                let _guard = mutex.lock().await;
                Ok(())
            };
            let fails = async {
                yield_now().await;
                Err::<(), _>("failed")
            };
            assert_eq!(gather::gather!(holds, waits, fails).await.unwrap_err(), "failed");
            assert!(mutex.try_lock().is_ok());
            assert!(semaphore.try_acquire().is_some());
        });
    });
}

#[test]
fn a_lock_goes_to_and_fro_between_a_gather_and_threads() {
    finishes(|| {
        run(async {
            let (tokios, async_locks) = (Arc::new(Mutex::new(0)), Arc::new(async_lock::Mutex::new(0)));
            let threads = [0; 2].map(|_| {
                let (tokios, async_locks) = (tokios.clone(), async_locks.clone());
                thread::spawn(move || {
                    for _ in 0..MESSAGES {
                        *tokios.blocking_lock() += 1;
                        *async_locks.lock_blocking() += 1;
                    }
                })
            });
            gather((0..10).map(async |_| {
                for _ in 0..MESSAGES / 10 {
                    *tokios.lock().await += 1;
                    *async_locks.lock().await += 1;
                }
            }))
            .capture()
            .await;
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!((*tokios.lock().await, *async_locks.lock().await), (3 * MESSAGES, 3 * MESSAGES));
        });
    });
}

#[test]
fn oneshot_notify_watch_and_event_are_told_by_threads() {
    const CHILDREN: usize = 100;
    finishes(|| {
        run(async {
            let (told, mut tellers) = (Cell::new(0), Vec::new());
            let notify = Arc::new(Notify::new());
            let event = Arc::new(Event::new());
            let (watched, watcher) = watch::channel(0);
            let (answers, asked): (Vec<_>, Vec<_>) = (0..CHILDREN).map(|_| oneshot::channel()).unzip();

            let children = gather(asked.into_iter().enumerate().map(async |(number, asked)| {
                let (notified, heard) = (notify.notified(), event.listen());
                told.set(told.get() + 1);
                assert_eq!(asked.await.unwrap(), number);
                notified.await;
                heard.await;
                let mut watcher = watcher.clone();
                watcher.wait_for(|value| *value == MESSAGES).await.map(|value| *value)
            }));
            let starts = async {
                // All children wait by now, for they stand before this one.
                assert_eq!(told.get(), CHILDREN);
                tellers.push(thread::spawn(move || {
                    for (number, answer) in answers.into_iter().enumerate() {
                        answer.send(number).unwrap();
                    }
                }));
                let (notify, event) = (notify.clone(), event.clone());
                tellers.push(thread::spawn(move || {
                    notify.notify_waiters();
                    event.notify(usize::MAX);
                }));
                tellers.push(thread::spawn(move || {
                    (1..=MESSAGES).for_each(|value| watched.send(value).unwrap())
                }));
                Ok(())
            };
            let (values, ()) = gather::gather!(children, starts).await.unwrap();
            assert_eq!(values, [MESSAGES; CHILDREN]);
            tellers.into_iter().for_each(|teller| teller.join().unwrap());
        });
    });
}

// Tokio's primitives have a budget of their own, which only its own runtime gives them anew.
#[test]
fn tokios_budget_does_not_stop_a_child_that_finds_very_many_messages() {
    finishes(|| {
        run(async {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            (0..MESSAGES).for_each(|message| sender.send(message).unwrap());
            drop(sender);
            let mut sum = 0;
            while let Some(message) = receiver.recv().await {
                sum += message;
            }
            assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2);
        });
    });
}
