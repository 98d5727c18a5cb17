//! The terminal behind standard error, which the filters of a pipeline share (S7).
//!
//! There is one progress line, drawn by one filter at a time ([`Turn`]). The cursor never moves up: the line is redrawn
//! after `\r` and erased by `ESC [ K`, nothing else. A message first erases whatever is in its row, whichever filter
//! drew it, and ends with a line break, so that the next progress line appears below it. Either is a single write(2),
//! which a terminal does not interleave with others.

mod turn;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

use turn::Turn;

use crate::sys::{WaitingWriter, locked};

/// Moves to the first column and erases the row.
const ERASE: &[u8] = b"\r\x1b[K";

/// Assumed if the terminal does not report its width.
const COLUMNS: usize = 80;

static SCREEN: Mutex<Screen> = Mutex::new(Screen { turn: None, drawn: false, closed: false, plain: false });

/// This process's share of the terminal.
struct Screen {
    /// Held while it is our turn to draw.
    turn: Option<Turn>,
    /// Whether our line is on the screen, with the cursor at its end.
    drawn: bool,
    /// Drawing has ended for good.
    closed: bool,
    /// Only plain lines are written, no control characters.
    plain: bool,
}

fn screen() -> MutexGuard<'static, Screen> {
    locked(&SCREEN)
}

/// Whether standard error is a terminal on which a line can be erased.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"))
}

/// Prints a message: whole lines, each ending with a line break.
pub(super) fn say(lines: &[u8]) -> io::Result<()> {
    let mut screen = screen();
    screen.drawn = false;
    let mut stderr = WaitingWriter(io::stderr());
    let is_drawn_on = is_terminal() && !screen.plain;
    if is_drawn_on { stderr.write_all(&[ERASE, lines].concat()) } else { stderr.write_all(lines) }
}

/// Like [`say`], for a caller that may hold the lock of the screen and is about to end the process.
pub(super) fn say_at_last(lines: &[u8]) {
    let erase = if is_terminal() { ERASE } else { b"" };
    // Nothing is left to try when stderr is gone.
    let _ = io::stderr().lock().write_all(&[erase, lines].concat());
}

/// Prints a plain line of progress; `false` when nothing is to be shown any more.
pub(super) fn print(line: &str) -> bool {
    // If the progress cannot be shown, the work still goes on.
    let _ = say(line.as_bytes());
    !is_closed()
}

/// Standard error as the logger's output. The logger passes a whole record at once.
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

/// From now on writes no control characters, even to a terminal.
pub(super) fn stay_plain() {
    screen().plain = true;
}

/// Takes the turn, if nobody has it, before there is anything to draw.
#[cfg(feature = "fetch")]
pub(super) fn take_turn() {
    screen().has_turn();
}

/// If it is our turn, draws what `line` returns for the given number of columns; `false` when drawing has ended.
pub(super) fn draw(line: impl FnOnce(usize) -> String) -> bool {
    let mut screen = screen();
    if screen.closed {
        return false;
    }
    if !is_in_foreground() || !screen.has_turn() {
        return true;
    }
    let columns = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    // A character in the last column would leave the cursor about to wrap.
    let line = line(if columns == 0 { COLUMNS } else { columns }.saturating_sub(1));
    let drawn = [b"\r", line.as_bytes(), b"\x1b[K"].concat();
    // A terminal that is gone needs no drawing.
    screen.drawn = io::stderr().lock().write_all(&drawn).is_ok();
    true
}

/// Erases our line and lets another filter draw until the next [`draw`].
pub(super) fn release() {
    screen().release();
}

/// Whether [`clear_progress`] was called.
pub(super) fn is_closed() -> bool {
    screen().closed
}

/// Removes this process's progress line for good.
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

/// Whether this process is in the foreground: from the background it would draw over what the user types. If this is
/// not the controlling terminal, there is no such distinction.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stderr()).map_or(true, |group| group == getpgrp())
}
