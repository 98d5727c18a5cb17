//! From whatever a name points at to one image: indexes, manifest, config (R4).

use super::Error;
use crate::image::select::{self, SelectError};
use crate::image::{Config, Descriptor, Document, MAX_DOCUMENT, Manifest, Platform};

/// Deepest nesting of indexes that is followed.
const MAX_DEPTH: u32 = 8;

/// Most documents that are read for one image.
const MAX_DOCUMENTS: u32 = 256;

/// Where documents come from: a layout, or a registry with a store before it.
pub(super) trait Documents {
    /// The verified bytes of an index or a manifest.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error>;
    /// The verified bytes of a config.
    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error>;
}

type Getter<D> = fn(&D, &Descriptor) -> Result<Vec<u8>, Error>;

/// One image, ready to have its layers fetched.
#[derive(Debug)]
pub(super) struct Image {
    /// What the manifest says it is and where.
    pub descriptor: Descriptor,
    pub manifest: Box<Manifest>,
    pub config: Config,
    /// What the config says, else the index.
    pub platform: Option<Platform>,
}

pub(super) struct Resolver<'a, D> {
    documents: &'a D,
    image: String,
    wanted: Platform,
    explicit: bool,
    left: u32,
}

impl<'a, D: Documents> Resolver<'a, D> {
    /// For `image` as the user calls it; `platform` is `None` when the user does not say.
    pub(super) fn new(documents: &'a D, image: String, platform: Option<&Platform>) -> Self {
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        Self { documents, image, wanted, explicit: platform.is_some(), left: MAX_DOCUMENTS }
    }

    /// Finds the image that `top` leads to.
    pub(super) fn resolve(mut self, top: &Descriptor) -> Result<Image, Error> {
        match self.document(top)? {
            Document::Index(index) => self.choose(&index.manifests, 1),
            Document::Manifest(manifest) => {
                let image = self.image(top, manifest)?;
                match &image.platform {
                    Some(platform) if self.wanted.distance(platform).is_none() => {
                        let error = select::no_platform(&self.wanted, [platform.clone()].into_iter());
                        if self.explicit {
                            return Err(self.select(error));
                        }
                        log::warn!("{}: the image is for {platform}, this machine is {}", self.image, self.wanted);
                    }
                    _ => {}
                }
                Ok(image)
            }
        }
    }

    /// Finds the image among the entries of an index.
    pub(super) fn resolve_among(mut self, entries: &[Descriptor]) -> Result<Image, Error> {
        self.choose(entries, 0)
    }

    fn choose(&mut self, entries: &[Descriptor], depth: u32) -> Result<Image, Error> {
        if depth > MAX_DEPTH {
            let what = format!("image indexes nest deeper than {MAX_DEPTH}");
            return Err(Error::NotFound { image: self.image.clone(), what });
        }
        let mut seen = Vec::new();
        let candidates = select::candidates(entries, &self.wanted).map_err(|error| self.select(error))?;
        for entry in candidates {
            let image = match self.document(entry)? {
                Document::Index(index) => match self.choose(&index.manifests, depth + 1) {
                    Err(Error::Select { source: SelectError::NoPlatform { offered, .. }, .. }) => {
                        seen.extend(offered);
                        continue;
                    }
                    Err(Error::Select { source: SelectError::Empty, .. }) => continue,
                    other => return other,
                },
                Document::Manifest(manifest) => self.image(entry, manifest)?,
            };
            // An entry that names its platform was chosen for it; of the others the config must tell.
            match (&entry.platform, &image.platform) {
                (None, Some(platform)) if self.wanted.distance(platform).is_none() => seen.push(platform.clone()),
                _ => return Ok(image),
            }
        }
        seen.extend(entries.iter().filter(|e| !e.is_attestation()).filter_map(|e| Some(e.platform.as_ref()?.into())));
        Err(self.select(select::no_platform(&self.wanted, seen.into_iter())))
    }

    fn image(&mut self, descriptor: &Descriptor, manifest: Box<Manifest>) -> Result<Image, Error> {
        let bytes = self.bytes(&manifest.config, D::config)?;
        let config = Config::parse(bytes, manifest.layers.len()).map_err(|source| Error::Config {
            image: self.image.clone(),
            digest: manifest.config.digest.clone(),
            source,
        })?;
        let described = descriptor.platform.as_ref().map(Platform::from);
        let platform = config.platform.clone().or(described);
        Ok(Image { descriptor: descriptor.clone(), manifest, config, platform })
    }

    fn document(&mut self, descriptor: &Descriptor) -> Result<Document, Error> {
        let bytes = self.bytes(descriptor, D::manifest)?;
        let declared = Some(descriptor.media_type.as_str()).filter(|t| !t.is_empty());
        Document::parse(&bytes, declared).map_err(|source| Error::Document {
            image: self.image.clone(),
            digest: descriptor.digest.clone(),
            source,
        })
    }

    fn bytes(&mut self, descriptor: &Descriptor, get: Getter<D>) -> Result<Vec<u8>, Error> {
        let error = |what| Error::Size { image: self.image.clone(), digest: descriptor.digest.clone(), what };
        if descriptor.size > MAX_DOCUMENT {
            return Err(error(format!(
                "{} bytes are too many for a document, {MAX_DOCUMENT} at most",
                descriptor.size
            )));
        }
        let Some(left) = self.left.checked_sub(1) else {
            return Err(error(format!("the image leads through more than {MAX_DOCUMENTS} documents")));
        };
        let bytes = get(self.documents, descriptor)?;
        if bytes.len() as u64 != descriptor.size {
            return Err(error(format!("{} bytes where {} are due", bytes.len(), descriptor.size)));
        }
        self.left = left;
        Ok(bytes)
    }

    fn select(&self, source: SelectError) -> Error {
        Error::Select { image: self.image.clone(), source }
    }
}
