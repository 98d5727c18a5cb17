#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod round_trip;
