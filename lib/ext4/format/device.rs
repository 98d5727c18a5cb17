//! Device numbers in inodes.

use crate::meta::Device;

/// Linux device numbers have 12 bits for the major number,
const MAJOR_MAX: u32 = 0xfff;
/// and 20 for the minor number.
const MINOR_MAX: u32 = 0xf_ffff;

/// Encodes a device number as the kernel does: in the old 16 bits if they suffice, else in 12 and 20 bits of the next word.
/// `None` if Linux has no such device.
pub(crate) fn encode(device: Device) -> Option<[u32; 2]> {
    let Device { major, minor } = device;
    match (major, minor) {
        (..0x100, ..0x100) => Some([(major << 8) | minor, 0]),
        (..=MAJOR_MAX, ..=MINOR_MAX) => Some([0, (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_take_the_old_form_where_it_suffices() {
        let device = |major, minor| encode(Device { major, minor });
        assert_eq!(device(5, 1), Some([0x501, 0]));
        assert_eq!(device(8, 0x12345), Some([0, 0x1230_0845]));
        assert_eq!(device(4095, 0xf_ffff), Some([0, 0xffff_ffff]));
        assert_eq!(device(4096, 0), None);
        assert_eq!(device(0, 1 << 20), None);
    }
}
