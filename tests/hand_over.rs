//! The hand-over of buffers (lib/relay), under all interleavings of its two threads.
//!
//! A model checker runs each test again and again, with its own lock and its own condition variable in the place of the
//! system's, until every order in which the threads can meet has been seen. A wake-up that gets lost shows as a deadlock,
//! which fails the test, and what is left out or done twice shows in what arrives.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a module of the library, seen from outside")]

/// What `lib/relay/sync.rs` has of the system's.
mod sync {
    pub(super) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
}

#[path = "../lib/relay/hand_over.rs"]
mod hand_over;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use hand_over::{Ended, Receiver, Sender, hand_over};
use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

/// Runs `test` in all orders. How often a thread may be interrupted where it need not wait is bounded, which is where
/// faults show, and keeps this to seconds.
fn all_orders(test: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(test);
}

/// A thread that does what a receiver is for, and notes it.
fn receiving(receiver: Receiver<u8, &'static str>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut seen = Vec::new();
        receiver.run(|item| {
            seen.push(*item);
            Ok(())
        });
        seen
    })
}

/// The receiver stops by a panic, which nobody sees.
fn panic_with<T, E>(end: T, item: impl FnOnce(T) -> E) {
    let panicking = AssertUnwindSafe(|| {
        let _end = item(end);
        resume_unwind(Box::new("a fault"));
    });
    catch_unwind(panicking).expect_err("a panic");
}

#[test]
fn all_that_is_sent_arrives_in_its_order_and_comes_back() {
    for bound in 1..=3 {
        all_orders(move || {
            let (mut sender, receiver) = hand_over(bound);
            let thread = receiving(receiver);
            let mut buffers = 0;
            let mut returned = None;
            for item in 0..3 {
                buffers += usize::from(returned.is_none());
                returned = sender.exchange(item).expect("a receiver");
            }
            assert!(buffers <= bound, "{buffers} of {bound} buffers");
            sender.settle().expect("a receiver");
            sender.close();
            assert_eq!(thread.join().expect("no panic"), [0, 1, 2]);
        });
    }
}

#[test]
fn a_sender_that_closes_at_once_waits_for_nobody() {
    all_orders(|| {
        let (mut sender, receiver) = hand_over::<u8, &str>(2);
        let thread = receiving(receiver);
        sender.send(1).expect("a receiver");
        sender.close();
        assert_eq!(thread.join().expect("no panic"), [1]);
    });
}

/// How a side ends that has more to do.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Fails,
    IsDropped,
    Panics,
}

const STOPS: [Stop; 3] = [Stop::Fails, Stop::IsDropped, Stop::Panics];

impl Stop {
    fn as_heard(self) -> Ended<&'static str> {
        match self {
            Self::Fails => Ended::Failed("broken"),
            Self::IsDropped | Self::Panics => Ended::Gone,
        }
    }
}

#[test]
fn a_receiver_that_stops_is_heard_of_whatever_the_sender_waits_for() {
    for stop in STOPS {
        for wait in [Sender::settle, |sender: &mut Sender<u8, &'static str>| {
            loop {
                sender.exchange(7)?;
            }
        }] {
            all_orders(move || {
                let (mut sender, mut receiver) = hand_over(2);
                let thread = thread::spawn(move || {
                    let item = receiver.receive().expect("a sender").expect("an item");
                    match stop {
                        Stop::Fails => receiver.fail("broken"),
                        Stop::IsDropped => drop(receiver),
                        Stop::Panics => panic_with(receiver, |receiver| receiver),
                    }
                    item
                });
                sender.send(1).expect("a receiver that has not begun");
                assert_eq!(wait(&mut sender), Err(stop.as_heard()));
                assert_eq!(sender.send(2).err(), Some(Ended::Gone));
                assert_eq!(sender.returned(), Err(Ended::Gone));
                assert_eq!(sender.settle(), Err(Ended::Gone));
                assert_eq!(thread.join().expect("no panic"), 1);
            });
        }
    }
}

#[test]
fn a_sender_that_stops_is_heard_of_after_what_it_sent() {
    for stop in STOPS {
        all_orders(move || {
            let (mut sender, mut receiver) = hand_over(3);
            let thread = thread::spawn(move || {
                sender.send(1).expect("a receiver");
                sender.send(2).expect("a receiver");
                match stop {
                    Stop::Fails => sender.fail("broken"),
                    Stop::IsDropped => drop(sender),
                    Stop::Panics => panic_with(sender, |sender| sender),
                }
            });
            for expected in [1, 2] {
                let item = receiver.receive().expect("sent before").expect("an item");
                assert_eq!(item, expected);
                receiver.give_back(item);
            }
            assert_eq!(receiver.receive(), Err(stop.as_heard()));
            assert_eq!(receiver.receive(), Err(Ended::Gone));
            thread.join().expect("no panic");
        });
    }
}

#[test]
fn both_may_stop_at_once() {
    all_orders(|| {
        let (mut sender, receiver) = hand_over::<u8, &str>(1);
        let thread = thread::spawn(move || drop(receiver));
        let _ = sender.exchange(1);
        drop(sender);
        thread.join().expect("no panic");
    });
}

/// A pool's worker for the test: it lets the receiver run, and is there again when it rests.
struct Worker {
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn run(&mut self, receiver: Receiver<u8, &'static str>, seen: &Arc<Mutex<Vec<u8>>>, stop_at: Option<(u8, Stop)>) {
        self.wait();
        let seen = Arc::clone(seen);
        let work = move || {
            receiver.run_and_rest(|item| {
                seen.lock().expect("no panic under it").push(*item);
                match stop_at {
                    Some((at, stop)) if at == *item => match stop {
                        Stop::Fails => Err("broken"),
                        Stop::IsDropped | Stop::Panics => resume_unwind(Box::new("a fault")),
                    },
                    _ => Ok(()),
                }
            });
        };
        self.thread = Some(thread::spawn(move || drop(catch_unwind(AssertUnwindSafe(work)))));
    }

    fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

#[test]
fn what_is_sent_while_the_receiver_goes_to_rest_is_somebodys() {
    all_orders(|| {
        let mut sender = Sender::with_resting_receiver(3);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut worker = Worker { thread: None };
        for item in 0..3 {
            if let Some(receiver) = sender.send(item).expect("a receiver") {
                worker.run(receiver, &seen, None);
            }
            sender.returned().expect("a receiver");
        }
        sender.settle().expect("a receiver");
        assert_eq!(*seen.lock().expect("no panic"), [0, 1, 2]);
        worker.wait();
    });
}

#[test]
fn who_sends_may_run_a_receiver_that_rests_himself() {
    all_orders(|| {
        let mut sender = Sender::with_resting_receiver(1);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut worker = Worker { thread: None };
        for item in 0..3 {
            match sender.send(item).expect("a receiver") {
                Some(receiver) if item == 1 => worker.run(receiver, &seen, None),
                Some(receiver) => receiver.run_and_rest(|item| {
                    seen.lock().expect("no panic under it").push(*item);
                    Ok::<(), &str>(())
                }),
                None => {}
            }
            sender.returned().expect("a receiver");
        }
        sender.settle().expect("a receiver");
        assert_eq!(*seen.lock().expect("no panic"), [0, 1, 2]);
        worker.wait();
    });
}

#[test]
fn a_worker_that_stops_is_heard_of() {
    for stop in STOPS {
        all_orders(move || {
            let mut sender = Sender::with_resting_receiver(3);
            let seen = Arc::new(Mutex::new(Vec::new()));
            let mut worker = Worker { thread: None };
            let mut ended = None;
            for item in 0..2 {
                match sender.send(item) {
                    Ok(Some(receiver)) => worker.run(receiver, &seen, Some((0, stop))),
                    Ok(None) => {}
                    Err(error) => ended = ended.or(Some(error)),
                }
            }
            let settled = sender.settle().expect_err("it stopped");
            assert_eq!(ended.unwrap_or(settled), stop.as_heard());
            assert_eq!(*seen.lock().expect("no panic"), [0]);
            worker.wait();
        });
    }
}

#[test]
fn a_receiver_that_nobody_wants_to_run_is_heard_of() {
    all_orders(|| {
        let mut sender = Sender::<u8, &str>::with_resting_receiver(3);
        let receiver = sender.send(1).expect("a receiver");
        let thread = thread::spawn(move || drop(receiver));
        assert_eq!(sender.settle(), Err(Ended::Gone));
        thread.join().expect("no panic");
    });
}
