//! The primitives that the hand-over uses. The model checker replaces this file with its own (tests/hand_over.rs).

pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
