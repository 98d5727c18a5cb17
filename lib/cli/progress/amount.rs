//! Bytes and times as people read them.

/// `0 B`, `1023 B`, `1.0 KiB`, `12.3 GiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would round to 1024.0 is shown as 1.0 of the next unit.
    while amount >= 1023.95 {
        let Some(next) = units.next() else { break };
        unit = Some(next);
        amount /= 1024.0;
    }
    format!("{amount:.1} {}", unit.unwrap_or(&UNITS[0]))
}

/// `0:05`, `12:34`, `1:02:03`, or just `days`.
pub(super) fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..100 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => "days".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let all = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (12_900_000, "12.3 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (count, text) in all {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn times() {
        for (seconds, text) in [(5, "0:05"), (754, "12:34"), (3723, "1:02:03"), (u64::MAX, "days")] {
            assert_eq!(time(seconds), text);
        }
    }
}
