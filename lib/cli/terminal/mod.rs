//! The terminal behind standard error, which the filters of a pipeline share (S7).
//!
//! There is one line of progress, drawn by one filter at a time ([`Turn`]). The cursor never moves up: a line is drawn over
//! itself by `\r` and erased by `ESC [ K`, nothing else. A message erases what stands in its row, whoever has drawn that, and
//! ends with a line break, so that the next drawing is one row below it. Each of both is one write(2), which terminals do not
//! mix with others.

mod turn;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

use turn::Turn;

/// To the row's first column, and erase from there to its end.
const ERASE: &[u8] = b"\r\x1b[K";

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

static SCREEN: Mutex<Screen> = Mutex::new(Screen { turn: None, drawn: false, closed: false, plain: false });

/// What of the terminal is this process's.
struct Screen {
    /// While it is ours to draw.
    turn: Option<Turn>,
    /// Whether the cursor is at the end of our line.
    drawn: bool,
    /// Nothing is drawn any more.
    closed: bool,
    /// Lines alone are written.
    plain: bool,
}

fn screen() -> MutexGuard<'static, Screen> {
    // Nothing in here is half-done when a thread panics.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether standard error is a terminal on which a line can be erased.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"))
}

/// Tells people something: whole lines, each ending with a line break.
pub(super) fn say(lines: &[u8]) -> io::Result<()> {
    let mut screen = screen();
    screen.drawn = false;
    let mut stderr = io::stderr().lock();
    let is_drawn_on = is_terminal() && !screen.plain;
    if is_drawn_on { stderr.write_all(&[ERASE, lines].concat()) } else { stderr.write_all(lines) }
}

/// Writes a line of progress for those who want plain lines; `false` when nothing is shown any more.
pub(super) fn print(line: &str) -> bool {
    // Progress is for whoever still reads it.
    let _ = say(line.as_bytes());
    !is_closed()
}

/// Standard error for a log, which writes a record at once.
#[derive(Debug)]
pub(super) struct Messages;

impl Write for Messages {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        say(record).map(|()| record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes no control characters, on no terminal.
pub(super) fn stay_plain() {
    screen().plain = true;
}

/// Takes the turn before there is anything to draw, if nobody has it.
#[cfg(feature = "fetch")]
pub(super) fn take_turn() {
    screen().has_turn();
}

/// Draws what `line` makes for so many columns, if it is our turn; `false` when nothing is drawn any more.
pub(super) fn draw(line: impl FnOnce(usize) -> String) -> bool {
    let mut screen = screen();
    if screen.closed {
        return false;
    }
    if !is_in_foreground() || !screen.has_turn() {
        return true;
    }
    let columns = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    // In the last column the cursor would wait for the next row.
    let line = line(if columns == 0 { COLUMNS } else { columns }.saturating_sub(1));
    let drawn = [b"\r", line.as_bytes(), b"\x1b[K"].concat();
    // A terminal that is gone needs no drawing.
    screen.drawn = io::stderr().lock().write_all(&drawn).is_ok();
    true
}

/// Erases our line and lets another filter draw, until the next [`draw`].
pub(super) fn release() {
    screen().release();
}

/// Whether [`clear_progress`] was called.
pub(super) fn is_closed() -> bool {
    screen().closed
}

/// Takes the progress of this process off the terminal, for good.
pub fn clear_progress() {
    let mut screen = screen();
    screen.closed = true;
    screen.release();
}

impl Screen {
    fn has_turn(&mut self) -> bool {
        if self.turn.is_none() {
            self.turn = Turn::take();
        }
        self.turn.is_some()
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.drawn) {
            // A terminal that is gone needs no erasing.
            let _ = io::stderr().lock().write_all(ERASE);
        }
        self.turn = None;
    }
}

/// Whether the terminal is this process's now: in the background it would draw over what somebody types. Where it is not
/// the terminal that controls the process there is no such thing.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stderr()).map_or(true, |group| group == getpgrp())
}
