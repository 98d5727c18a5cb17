//! Platforms, and which one in an index suits a machine best (R4).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::beginning::beginning;
use super::descriptor::{DescribedPlatform, Descriptor};
use super::layer_manifest::PlatformRecord;

/// An operating system and an architecture, normalised: `arm64`, never `aarch64` or `arm64/v8`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// GOARCH: `amd64`, `arm64`, `arm`, ...
    pub architecture: String,
    /// `v7`, ... Absent if it is the architecture's default.
    pub variant: Option<String>,
    /// The features of the operating system that the image requires (`os.features`).
    pub features: BTreeSet<String>,
}

/// Architectures that, given alone, mean Linux on them, with their usual other names.
const ARCHITECTURES: &[&str] = &[
    "386",
    "aarch64",
    "amd64",
    "arm",
    "arm64",
    "armel",
    "armhf",
    "i386",
    "i486",
    "i586",
    "i686",
    "loong64",
    "loongarch64",
    "mips",
    "mips64",
    "mips64le",
    "mipsle",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390x",
    "wasm",
    "x86",
    "x86-64",
    "x86_64",
];

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no platform: OS/ARCH or OS/ARCH/VARIANT is, such as linux/amd64 or linux/arm/v7, or arm64 for linux/arm64"
)]
pub struct PlatformError(String);

impl Platform {
    /// Linux on this machine's architecture.
    #[must_use]
    pub fn host() -> Self {
        // Rust calls both byte orders powerpc64.
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        Self::new("linux", architecture, None)
    }

    /// Normalises the usual other names (`x86_64`, `aarch64`, `armhf`, `arm64/v8`, ...).
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = variant.map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
        let variant = variant.map(|v| if v.as_bytes()[0].is_ascii_digit() { format!("v{v}") } else { v });
        let (architecture, variant) = match (architecture.to_ascii_lowercase().as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".into(), None),
            ("x86_64" | "x86-64" | "amd64", Some(v)) => ("amd64".into(), Some(v.into())),
            ("i386" | "i486" | "i586" | "i686" | "x86" | "386", _) => ("386".into(), None),
            ("aarch64" | "arm64", None | Some("v8" | "v8.0")) => ("arm64".into(), None),
            ("aarch64" | "arm64", Some(v)) => ("arm64".into(), Some(v.into())),
            ("armel", _) => ("arm".into(), Some("v6".into())),
            ("armhf", _) | ("arm", None) => ("arm".into(), Some("v7".into())),
            ("loongarch64", v) => ("loong64".into(), v.map(Into::into)),
            (other, v) => (other.into(), v.map(Into::into)),
        };
        Self { os, architecture, variant, features: BTreeSet::new() }
    }

    /// The platform of an index entry; `None` if it names none or only half of one, so that its config has to decide.
    #[must_use]
    pub fn stated(entry: &Descriptor) -> Option<Self> {
        let platform = entry.platform.as_ref()?;
        (!platform.os.is_empty() && !platform.architecture.is_empty()).then(|| platform.into())
    }

    /// How well an image made for `other` runs here: 0 is exact, higher is worse, `None` means not at all.
    ///
    /// arm v7 runs v6 and v5; arm64 v8.x and amd64 v2 to v4 run what is below them. Unknown variants must be equal. An
    /// image that requires features runs only where they are present.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Option<u32> {
        if !other.features.is_subset(&self.features) {
            return None;
        }
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        if self.variant == other.variant {
            return Some(0);
        }
        let mine = level(&self.architecture, self.variant.as_deref())?;
        let theirs = level(&self.architecture, other.variant.as_deref())?;
        mine.checked_sub(theirs)
    }
}

/// The rank of a variant, for architectures whose later variants run what is made for earlier ones.
fn level(architecture: &str, variant: Option<&str>) -> Option<u32> {
    let default = match architecture {
        "arm" => "v7",
        "arm64" => "v8",
        "amd64" => "v1",
        _ => return None,
    };
    let digits = variant.unwrap_or(default).strip_prefix('v')?;
    let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
    let (major, minor) = (major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?);
    major.checked_mul(1000)?.checked_add(minor.min(999))
}

fn is_architecture(text: &str) -> bool {
    ARCHITECTURES.contains(&text.to_ascii_lowercase().as_str())
}

/// Splits `(+one+other)` from the operating system, the notation of containerd and our own messages for required
/// features; `None` if it is malformed.
fn without_features(text: &str) -> Option<(String, BTreeSet<String>)> {
    let Some((os, rest)) = text.split_once('(') else { return Some((text.to_owned(), BTreeSet::new())) };
    let (named, rest) = rest.split_once(')')?;
    let features: BTreeSet<String> = named.strip_prefix('+')?.split('+').map(str::to_owned).collect();
    let is_whole = !os.is_empty() && !os.contains('/') && (rest.is_empty() || rest.starts_with('/'));
    let is_word = |feature: &String| !feature.is_empty() && feature.bytes().all(|b| b.is_ascii_graphic());
    (is_whole && features.iter().all(is_word)).then(|| (format!("{os}{rest}"), features))
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError(beginning(text, 100));
        let (bare, features) = without_features(text).ok_or_else(error)?;
        let parts: Vec<&str> = bare.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(is_word) {
            return Err(error());
        }
        let platform = match parts[..] {
            [architecture] if is_architecture(architecture) => Self::new("linux", architecture, None),
            [architecture, variant] if is_architecture(architecture) => Self::new("linux", architecture, Some(variant)),
            [os, architecture] => Self::new(os, architecture, None),
            [os, architecture, variant] => Self::new(os, architecture, Some(variant)),
            _ => return Err(error()),
        };
        Ok(Self { features, ..platform })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if !self.features.is_empty() {
            write!(f, "(+{})", self.features.iter().map(String::as_str).collect::<Vec<_>>().join("+"))?;
        }
        write!(f, "/{}", self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl From<&DescribedPlatform> for Platform {
    fn from(p: &DescribedPlatform) -> Self {
        let mut platform = Self::new(&p.os, &p.architecture, p.variant.as_deref());
        // Every Windows but Nano Server has win32k.sys, so requiring it says nothing.
        let is_common = |feature: &str| feature.is_empty() || (platform.os == "windows" && feature == "win32k");
        platform.features = p.os_features.iter().filter(|feature| !is_common(feature)).cloned().collect();
        platform
    }
}

impl From<&Platform> for PlatformRecord {
    fn from(p: &Platform) -> Self {
        Self { os: p.os.clone(), architecture: p.architecture.clone(), variant: p.variant.clone() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn other_names_are_normalised() {
        for (given, normal) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/386", "linux/386"),
            ("arm64", "linux/arm64"),
            ("AMD64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("arm", "linux/arm/v7"),
            ("arm/v6", "linux/arm/v6"),
            ("riscv64", "linux/riscv64"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(platform(given).to_string(), normal);
        }
        for named in ["linux(+erofs)/amd64", "linux(+a+b.c)/arm/v6"] {
            assert_eq!(platform(named).to_string(), named);
        }
        assert_eq!(platform("linux(+b+a+b)/amd64").to_string(), "linux(+a+b)/amd64");
        for bad in
            ["linux(+)/amd64", "linux(erofs)/amd64", "linux(+a/amd64", "linux/amd64(+a)", "(+a)/amd64", "a(+b)c/d"]
        {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
        for bad in ["", "linux", "armada", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "linux/\u{1b}"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn variants_run_what_is_below_them() {
        let far = |mine: &str, theirs: &str| platform(mine).distance(&platform(theirs));
        assert_eq!(far("linux/arm64", "linux/arm64/v8"), Some(0));
        assert!(far("linux/arm/v7", "linux/arm/v6") < far("linux/arm/v7", "linux/arm/v5"));
        assert_eq!(far("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(far("linux/amd64", "linux/amd64/v3"), None);
        assert!(far("linux/amd64/v3", "linux/amd64").is_some());
        assert_eq!(far("linux/arm64", "linux/arm"), None);
        assert_eq!(far("linux/amd64", "windows/amd64"), None);
        assert_eq!(far("linux/mips/a", "linux/mips/b"), None);
    }

    #[test]
    fn an_image_that_demands_features_runs_only_where_they_are() {
        let of = |os: &str, features: &[&str]| {
            let json = serde_json::json!({ "os": os, "architecture": "amd64", "os.features": features });
            Platform::from(&serde_json::from_value::<DescribedPlatform>(json).unwrap())
        };
        assert_eq!(platform("linux/amd64").distance(&of("linux", &["erofs"])), None);
        assert_eq!(of("linux", &["erofs", "a"]).distance(&of("linux", &["erofs"])), Some(0));
        assert_eq!(platform("linux/amd64").distance(&of("linux", &[])), Some(0));
        assert_eq!(platform("windows/amd64").distance(&of("windows", &["win32k"])), Some(0));
        assert_eq!(of("linux", &["erofs", "a", "a"]).to_string(), "linux(+a+erofs)/amd64");
    }
}
