//! Signals. Each test has a process of its own, because a signal is for all of it.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use gather::signal::{Signal, Signals, ctrl_c, terminate};
use gather::{Handle, Runtime, run, sleep, spawn, timeout};
use gather_tests::alone::{alone, command, is_alone};
use gather_tests::descriptors::open_descriptors;
use gather_tests::gate::Gate;
use gather_tests::probe::{poll_once, some_turns};
use gather_tests::programs::{self, build_example};
#[cfg(target_os = "linux")]
use gather_tests::signals::Forked;
use gather_tests::signals::{raise, send};
use gather_tests::watchdog::finishes;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_signal_wakes_who_waits_for_it_and_does_nothing_else() {
    alone("a_signal_wakes_who_waits_for_it_and_does_nothing_else", || {
        run(async {
            let mut signals = Signals::new([Signal::User1, Signal::Terminate, Signal::Hangup]).unwrap();
            assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err());
            for signal in [Signal::Terminate, Signal::User1, Signal::Hangup, Signal::Terminate] {
                // The loop sleeps when it comes.
                let sends = thread::spawn(move || raise(signal));
                assert_eq!(signals.recv().await.unwrap(), signal);
                sends.join().unwrap();
            }
            assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err());
        });
    });
}

#[test]
fn a_signal_that_comes_while_nobody_awaits_it_is_kept() {
    alone("a_signal_that_comes_while_nobody_awaits_it_is_kept", || {
        run(async {
            let mut signals = Signals::new([Signal::User1, Signal::User2]).unwrap();
            let mut receives = Box::pin(signals.recv());
            assert!(poll_once(&mut receives, Waker::noop()).is_pending());
            raise(Signal::User2);
            drop(receives);
            raise(Signal::User1);
            let mut received = [signals.recv().await.unwrap(), signals.recv().await.unwrap()];
            received.sort_by_key(|signal| signal.number());
            assert_eq!(received, [Signal::User1, Signal::User2]);
            assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err());
        });
    });
}

#[test]
fn all_who_listen_hear_a_signal_on_all_threads() {
    alone("all_who_listen_hear_a_signal_on_all_threads", || {
        let (ready, heard) = (Gate::new(), Gate::new());
        let (opens, hears) = (ready.clone(), heard.clone());
        let elsewhere = thread::spawn(move || {
            run(async {
                let mut signals = Signals::new([Signal::User1]).unwrap();
                opens.open();
                assert_eq!(signals.recv().await.unwrap(), Signal::User1);
                hears.open();
            });
        });
        run(async {
            let mut one = Signals::new([Signal::User1]).unwrap();
            let mut other = Signals::new([Signal::User1, Signal::User2]).unwrap();
            ready.pass().await;
            raise(Signal::User1);
            assert_eq!(one.recv().await.unwrap(), Signal::User1);
            assert_eq!(other.recv().await.unwrap(), Signal::User1);
            heard.pass().await;
            // One who goes takes nothing from the others.
            drop(one);
            raise(Signal::User1);
            assert_eq!(other.recv().await.unwrap(), Signal::User1);
        });
        elsewhere.join().unwrap();
    });
}

#[test]
fn signals_of_different_kinds_are_heard_in_turn_and_none_starves_the_others() {
    alone("signals_of_different_kinds_are_heard_in_turn_and_none_starves_the_others", || {
        run(async {
            let all = [Signal::User1, Signal::User2, Signal::Terminate];
            let mut signals = Signals::new(all).unwrap();
            all.into_iter().for_each(raise);
            let mut heard = Vec::new();
            for _ in 0..300 {
                let signal = signals.recv().await.unwrap();
                heard.push(signal);
                raise(signal); // it comes again before anything else is done
            }
            // When the budget of a poll is spent, one may be passed over twice.
            for few in heard.windows(9) {
                assert!(all.iter().all(|signal| few.contains(signal)), "{heard:?}");
            }
        });
    });
}

#[test]
fn a_signal_that_is_listed_twice_is_heard_once() {
    alone("a_signal_that_is_listed_twice_is_heard_once", || {
        run(async {
            let mut signals = Signals::new([Signal::User1, Signal::User2, Signal::User1]).unwrap();
            assert_eq!(Handle::current().metrics().sockets_registered(), 2);
            raise(Signal::User1);
            assert_eq!(signals.recv().await.unwrap(), Signal::User1);
            assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err());
        });
    });
}

#[test]
fn a_signal_that_comes_several_times_before_it_is_heard_is_heard_once() {
    alone("a_signal_that_comes_several_times_before_it_is_heard_is_heard_once", || {
        run(async {
            let mut signals = Signals::new([Signal::User1]).unwrap();
            for times in [100, 1, 2] {
                (0..times).for_each(|_| raise(Signal::User1));
                assert_eq!(signals.recv().await.unwrap(), Signal::User1);
                assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err(), "{times} times");
            }
        });
    });
}

// Ctrl-C goes to all processes of the terminal's foreground, so to such a child too.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_a_forked_child_receives_before_it_executes_its_program_is_not_the_parents() {
    let test = "a_signal_that_a_forked_child_receives_before_it_executes_its_program_is_not_the_parents";
    alone(test, || {
        run(async {
            let mut signals = Signals::new([Signal::Interrupt, Signal::User1]).unwrap();
            let child = Forked::start();
            child.receives(Signal::Interrupt);
            raise(Signal::User1);
            assert_eq!(signals.recv().await.unwrap(), Signal::User1);
            assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err());
            // One that both receive is heard once.
            child.receives(Signal::Interrupt);
            raise(Signal::Interrupt);
            assert_eq!(signals.recv().await.unwrap(), Signal::Interrupt);
            child.receives(Signal::Interrupt);
            assert!(timeout(MILLISECOND * 10, signals.recv()).await.is_err());
        });
    });
}

#[test]
fn ctrl_c_and_terminate_end_with_their_signal() {
    alone("ctrl_c_and_terminate_end_with_their_signal", || {
        run(async {
            let [interrupted, terminated] =
                [spawn(async { ctrl_c().await.unwrap() }), spawn(async { terminate().await.unwrap() })];
            some_turns().await;
            raise(Signal::Interrupt);
            interrupted.await.unwrap();
            assert!(!terminated.is_finished());
            raise(Signal::Terminate);
            terminated.await.unwrap();
        });
    });
}

#[test]
fn a_signal_whose_runtime_has_ended_is_an_error_and_listening_takes_no_descriptors_for_good() {
    alone("a_signal_whose_runtime_has_ended_is_an_error_and_listening_takes_no_descriptors_for_good", || {
        let runtime = Runtime::new().unwrap();
        let mut signals = runtime.block_on(async { Signals::new([Signal::User1]).unwrap() });
        drop(runtime);
        assert!(run(signals.recv()).is_err());
        drop(signals);
        run(async {
            drop(Signals::new([Signal::User2]).unwrap());
            let before = open_descriptors();
            for _ in 0..200 {
                let signals = Signals::new([Signal::User1, Signal::User2]).unwrap();
                assert_eq!(Handle::current().metrics().sockets_registered(), 2);
                drop(signals);
            }
            assert_eq!(open_descriptors(), before);
            assert_eq!(Handle::current().metrics().sockets_registered(), 0);
        });
    });
}

/// A process that runs that test's body.
fn start(test: &str) -> Child {
    command(test).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until it prints this.
fn wait_for(text: &str, child: &mut Child) {
    let stdout = child.stdout.as_mut().unwrap();
    let mut printed = String::new();
    while !printed.contains(text) {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it has ended, and printed {printed:?}");
        printed.push(byte[0].into());
    }
}

// As at a terminal: once asks, twice ends, though the loop is blocked.
#[test]
fn a_second_ctrl_c_kills_a_process_that_has_heard_the_first() {
    let test = "a_second_ctrl_c_kills_a_process_that_has_heard_the_first";
    if is_alone(test) {
        return run(async {
            let mut first = Box::pin(ctrl_c());
            assert!(poll_once(&mut first, Waker::noop()).is_pending());
            println!("listens");
            first.await.unwrap();
            println!("heard");
            thread::sleep(Duration::from_secs(60));
        });
    }
    finishes(move || {
        let mut child = start(test);
        wait_for("listens", &mut child);
        send(Signal::Interrupt, child.id());
        wait_for("heard", &mut child);
        send(Signal::Interrupt, child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::Interrupt.number()));
    });
}

#[test]
fn who_keeps_listening_hears_the_second_too_and_only_then_the_default_is_back() {
    let test = "who_keeps_listening_hears_the_second_too_and_only_then_the_default_is_back";
    if is_alone(test) {
        return run(async {
            let mut signals = Signals::new([Signal::Terminate]).unwrap();
            for _ in 0..3 {
                println!("listens");
                signals.recv().await.unwrap();
            }
            drop(signals);
            println!("ends");
            sleep(Duration::from_secs(60)).await;
        });
    }
    finishes(move || {
        let mut child = start(test);
        for _ in 0..3 {
            wait_for("listens", &mut child);
            send(Signal::Terminate, child.id());
        }
        wait_for("ends", &mut child);
        send(Signal::Terminate, child.id());
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::Terminate.number()));
    });
}

#[test]
fn the_example_shutdown_lets_connections_finish_and_ends_at_once_when_asked_again() {
    let program = build_example("shutdown"); // which may take long
    finishes(move || {
        for asked_again in [false, true] {
            let mut child = programs::command(program.clone()).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let address = lines.next().unwrap().replace("listening on ", "");
            let mut client = TcpStream::connect(address).unwrap();
            client.read_exact(&mut [0; 2]).unwrap();
            send(Signal::Terminate, child.id());
            assert!(lines.next().unwrap().starts_with("Terminate: 1 connections may finish"));
            if asked_again {
                send(Signal::Terminate, child.id());
                assert_eq!(child.wait().unwrap().signal(), Some(Signal::Terminate.number()));
            } else {
                client.write_all(b"question\n").unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "done\n");
                assert_eq!(lines.next().unwrap(), "all have finished");
                assert!(child.wait().unwrap().success());
            }
        }
    });
}
