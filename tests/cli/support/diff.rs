//! Expected against got, side by side.

/// Lines of context around a difference.
const CONTEXT: usize = 3;
/// Columns for each side.
const WIDTH: usize = 76;
/// Differing lines shown before the rest is only counted.
const SHOWN: usize = 60;

/// Fails with both texts side by side unless they are equal.
#[track_caller]
pub fn assert_text(what: &str, expected: &str, got: &str) {
    assert!(expected == got, "{what} differs\n{}", side_by_side(expected, got));
}

/// Fails with the first differing byte unless both are equal.
#[track_caller]
pub fn assert_bytes(what: &str, expected: &[u8], got: &[u8]) {
    if expected == got {
        return;
    }
    let at = expected.iter().zip(got).position(|(e, g)| e != g).unwrap_or(expected.len().min(got.len()));
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(16);
        bytes.get(from..bytes.len().min(at + 48)).unwrap_or_default().escape_ascii().to_string()
    };
    panic!(
        "{what} differs from byte {at} (expected {} bytes, got {})\n  expected: {}\n  got:      {}",
        expected.len(),
        got.len(),
        around(expected),
        around(got)
    );
}

/// Both texts in two columns, expected on the left; differing lines are marked `|`, `<` or `>`.
pub fn side_by_side(expected: &str, got: &str) -> String {
    let (left, right): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let rows = align(&left, &right);
    let near = |row: usize| {
        let window = row.saturating_sub(CONTEXT)..rows.len().min(row + CONTEXT + 1);
        rows.get(window).is_some_and(|window| window.iter().any(|(l, r)| l != r))
    };
    let mut text = format!("  {:<WIDTH$}   {}\n", "EXPECTED", "GOT");
    let (mut shown, mut skipping) = (0, false);
    for (number, (l, r)) in rows.iter().enumerate() {
        if !near(number) {
            if !skipping {
                text.push_str("  ...\n");
            }
            skipping = true;
            continue;
        }
        skipping = false;
        let mark = match (l, r) {
            (Some(l), Some(r)) if l == r => ' ',
            (Some(_), Some(_)) => '|',
            (Some(_), None) => '<',
            _ => '>',
        };
        if mark != ' ' {
            shown += 1;
            if shown > SHOWN {
                text.push_str("  ... and more\n");
                break;
            }
        }
        text.push_str(&format!("  {:<WIDTH$} {mark} {}\n", l.unwrap_or(""), r.unwrap_or("")));
    }
    text
}

type Row<'a> = (Option<&'a str>, Option<&'a str>);

/// Pairs the lines of both sides: a common head and tail, and a longest common subsequence between where the
/// middle is small enough for its quadratic table.
fn align<'a>(left: &[&'a str], right: &[&'a str]) -> Vec<Row<'a>> {
    let head = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    let (left_rest, right_rest) = (&left[head..], &right[head..]);
    let tail = left_rest.iter().rev().zip(right_rest.iter().rev()).take_while(|(l, r)| l == r).count();
    let (a, b) = (&left_rest[..left_rest.len() - tail], &right_rest[..right_rest.len() - tail]);
    let mut rows: Vec<Row> = left[..head].iter().map(|line| (Some(*line), Some(*line))).collect();
    if a.len().saturating_mul(b.len()) <= 4_000_000 {
        middle(a, b, &mut rows);
    } else {
        rows.extend((0..a.len().max(b.len())).map(|i| (a.get(i).copied(), b.get(i).copied())));
    }
    rows.extend(left[left.len() - tail..].iter().map(|line| (Some(*line), Some(*line))));
    rows
}

fn middle<'a>(a: &[&'a str], b: &[&'a str], rows: &mut Vec<Row<'a>>) {
    // common[i][j]: length of the longest common subsequence of a[i..] and b[j..].
    let mut common = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut only_a, mut only_b) = (Vec::new(), Vec::new());
    let flush = |only_a: &mut Vec<&'a str>, only_b: &mut Vec<&'a str>, rows: &mut Vec<Row<'a>>| {
        rows.extend((0..only_a.len().max(only_b.len())).map(|k| (only_a.get(k).copied(), only_b.get(k).copied())));
        only_a.clear();
        only_b.clear();
    };
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            flush(&mut only_a, &mut only_b, rows);
            rows.push((Some(a[i]), Some(b[j])));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            only_a.push(a[i]);
            i += 1;
        } else {
            only_b.push(b[j]);
            j += 1;
        }
    }
    flush(&mut only_a, &mut only_b, rows);
}
