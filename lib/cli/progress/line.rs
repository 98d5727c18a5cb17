//! The progress line, fitted to the width of the terminal.

use super::amount::{bytes, time};
use super::work::Snapshot;

/// Progress in at most `columns` columns, all ASCII, so a byte is a column. What does not fit is left out; the rate and
/// the remaining time go last.
pub(super) fn line(tool: &str, now: &Snapshot, rate: u64, columns: usize) -> String {
    let Snapshot { doing, done, total, .. } = *now;
    let space = |word: &str| if word.is_empty() { String::new() } else { format!(" {word}") };
    let doing = space(doing);
    let pieces = match now.pieces {
        (_, 0 | 1) => String::new(),
        (ended, all) => format!(" ({ended} of {all} {})", now.unit),
    };
    let speed = format!("{}/s", bytes(rate));
    let forms = match total {
        Some(total) => {
            let percent = done.min(total).saturating_mul(100).checked_div(total).unwrap_or(100);
            let left = total.saturating_sub(done).checked_div(rate).map_or_else(|| "-:--".to_owned(), time);
            let of = format!("{} of {}", bytes(done), bytes(total));
            vec![
                format!("{tool}:{doing} {of}{pieces}  {percent}%  {speed}  ETA {left}"),
                format!("{tool}:{doing} {of}  {percent}%  {speed}  ETA {left}"),
                format!("{tool}: {of}  {speed}  ETA {left}"),
                format!("{tool}: {percent}%  {speed}  ETA {left}"),
                format!("{tool}: {percent}% {speed} ETA {left}"),
                format!("{percent}%  {speed}  ETA {left}"),
                format!("{percent}% {left}"),
                format!("{percent}%"),
            ]
        }
        None => {
            let (done, elapsed) = (bytes(done), time(now.since.elapsed().as_secs()));
            vec![
                format!("{tool}:{doing} {done}{pieces}  {speed}  in {elapsed}"),
                format!("{tool}:{doing} {done}  {speed}  in {elapsed}"),
                format!("{tool}: {done}  {speed}"),
                format!("{done}  {speed}"),
                done,
            ]
        }
    };
    forms.into_iter().find(|form| form.len() <= columns).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn now() -> Snapshot {
        Snapshot {
            doing: "",
            done: 129_394_278,
            total: Some(314_572_800),
            moved: 0,
            pieces: (3, 8),
            unit: "blobs",
            since: Instant::now(),
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_left_out() {
        let at = |columns| line("oci-fetch", &now(), 47_395_635, columns);
        assert_eq!(at(79), "oci-fetch: 123.4 MiB of 300.0 MiB (3 of 8 blobs)  41%  45.2 MiB/s  ETA 0:03");
        assert_eq!(at(70), "oci-fetch: 123.4 MiB of 300.0 MiB  41%  45.2 MiB/s  ETA 0:03");
        assert_eq!(at(39), "oci-fetch: 41%  45.2 MiB/s  ETA 0:03");
        assert_eq!(at(28), "41%  45.2 MiB/s  ETA 0:03");
        assert_eq!(at(10), "41% 0:03");
        assert_eq!(at(3), "41%");
        assert_eq!(at(1), "");
    }

    #[test]
    fn without_a_total_there_is_no_time_left() {
        let since = Instant::now().checked_sub(Duration::from_secs(75)).unwrap_or_else(Instant::now);
        let now = Snapshot { total: None, pieces: (0, 1), doing: "writing", since, ..now() };
        assert_eq!(line("tool", &now, 1024, 79), "tool: writing 123.4 MiB  1.0 KiB/s  in 1:15");
        assert_eq!(line("tool", &now, 1024, 22), "123.4 MiB  1.0 KiB/s");
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let totals = [None, Some(0), Some(1), Some(u64::MAX)];
        for (columns, total) in (0..200).flat_map(|columns| totals.map(|total| (columns, total))) {
            for done in [0, u64::MAX] {
                let text = line("oci-flatten", &Snapshot { total, done, ..now() }, u64::MAX, columns);
                assert!(text.len() <= columns && text.is_ascii(), "{columns}: {text}");
                assert!(columns < 39 || text.contains("/s"), "{columns}: {text}");
                assert!(columns < 39 || total.is_none() || text.contains("ETA"), "{columns}: {text}");
            }
        }
    }

    #[test]
    fn nothing_and_a_stall_have_no_end() {
        let now = Snapshot { done: 0, pieces: (0, 1), ..now() };
        assert_eq!(line("tool", &now, 0, 79), "tool: 0 B of 300.0 MiB  0%  0 B/s  ETA -:--");
    }
}
