//! Panics. They are bugs here or in a library, never the fault of the input. The first one ends the filter, in whatever
//! thread, with status 1 and one line (S4). After unwinding, other threads might wait for ever, or panic in turn.

use std::any::Any;
use std::env;
use std::panic::{self, Location, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{message, terminal};
use crate::sys::remove_temporary_names;

static PANICKED: AtomicBool = AtomicBool::new(false);

/// From now on, a panic ends the process by `exit`. `RUST_BACKTRACE` adds a backtrace.
pub(super) fn end_by(exit: fn(i32) -> !, tool: &str) {
    let (print, tool) = (panic::take_hook(), tool.to_owned());
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        while PANICKED.swap(true, Ordering::SeqCst) {
            // The process is about to end.
            thread::park();
        }
        if env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0") {
            print(info);
        }
        remove_temporary_names();
        let line = message::legible(&told(info.payload(), info.location()));
        terminal::say_at_last(format!("{tool}: {line}\n").as_bytes());
        exit(1);
    }));
}

fn told(payload: &(dyn Any + Send), place: Option<&Location<'_>>) -> String {
    let said = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = place.map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    format!("panicked{place}: {}", said.unwrap_or("it did not say why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_told() {
        assert_eq!(told(&"one", None), "panicked: one");
        assert_eq!(told(&"two".to_owned(), None), "panicked: two");
        let told = told(&7, Some(Location::caller()));
        assert!(told.starts_with("panicked at lib/cli/panics.rs:") && told.ends_with(": it did not say why"), "{told}");
    }
}
