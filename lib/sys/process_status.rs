/// A set of bits among what the kernel says of this process (proc_pid_status(5)), such as `CapEff` or `SigIgn`; `None`
/// without /proc.
#[must_use]
pub fn bit_set(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    bit_set_in(&status, field)
}

fn bit_set_in(status: &str, field: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_sets_are_read() {
        let status = "Name:\tx\nSigIgn:\t0000000000001000\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n";
        assert_eq!(bit_set_in(status, "CapEff"), Some(0x1ff_ffff_ffff));
        assert_eq!(bit_set_in(status, "SigIgn"), Some(1 << 12));
        assert_eq!(bit_set_in(status, "Cap"), None);
    }
}
