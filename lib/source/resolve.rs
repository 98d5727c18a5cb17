//! Finds the one image that a name refers to: indexes, manifest, config (R4).

use super::Error;
use crate::image::select::{self, SelectError};
use crate::image::{Config, Descriptor, Document, DocumentError, MAX_DOCUMENT, Manifest, Platform, media_type};

/// The deepest nesting of indexes that is followed.
const MAX_DEPTH: u32 = 8;

/// The most documents that are read for one image.
const MAX_DOCUMENTS: u32 = 256;

/// A source of documents: a layout, or a registry with a store in front of it.
pub(super) trait Documents {
    /// Whether the document may be available. An index on disk may list more images than came with it.
    fn may_have(&self, descriptor: &Descriptor) -> bool;
    /// The verified bytes of an index or a manifest.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error>;
    /// The verified bytes of a config.
    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error>;
    /// Called when this manifest is chosen, whatever its config says: its layers can be fetched along with the config.
    fn chosen(&self, _manifest: &Manifest) {}
}

type Getter<D> = fn(&D, &Descriptor) -> Result<Vec<u8>, Error>;

/// One image, ready to have its layers fetched.
#[derive(Debug)]
pub(super) struct Image {
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
    pub manifest: Box<Manifest>,
    pub config: Config,
    /// From the config, or else from the index.
    pub platform: Option<Platform>,
}

pub(super) struct ImageResolver<'a, D> {
    documents: &'a D,
    image: String,
    wanted: Platform,
    explicit: bool,
    /// Consider only entries that are available: an index may list more images than came with it.
    only_present: bool,
    left: u32,
}

impl<'a, D: Documents> ImageResolver<'a, D> {
    /// Finds `image`, the user's name for it; `platform` is `None` if the user named none.
    pub(super) fn new(documents: &'a D, image: String, platform: Option<&Platform>) -> Self {
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        Self { documents, image, wanted, explicit: platform.is_some(), only_present: false, left: MAX_DOCUMENTS }
    }

    /// Considers only those images of an index whose manifests are available, if any are.
    pub(super) fn only_present(self) -> Self {
        Self { only_present: true, ..self }
    }

    /// Finds the image that `top` leads to.
    pub(super) fn resolve(mut self, top: &Descriptor) -> Result<Image, Error> {
        match self.document(top)? {
            Document::Index(index) => self.choose(&index.manifests, 1),
            Document::Manifest(manifest) => {
                if !self.explicit {
                    self.documents.chosen(&manifest);
                }
                let image = self.image(top, manifest)?;
                check_platform(image.platform.as_ref(), &self.wanted, self.explicit, &self.image)?;
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
        let is_there = |entry: &&Descriptor| !self.only_present || self.documents.may_have(entry);
        let there: Vec<Descriptor> = entries.iter().filter(is_there).cloned().collect();
        // If none are, the chosen entry reports that.
        let entries = if there.iter().all(Descriptor::is_attestation) { entries } else { &there };
        let (mut seen, mut unsure, mut no_image) = (Vec::new(), None, None);
        let candidates = select::candidates(entries, &self.wanted).map_err(|error| self.select(error))?;
        for entry in candidates {
            let stated = Platform::stated(entry);
            let found = match self.document(entry) {
                Ok(Document::Index(index)) => match self.choose(&index.manifests, depth + 1) {
                    Ok(image) => return Ok(image),
                    Err(error) => Err(error),
                },
                Ok(Document::Manifest(manifest)) => {
                    if stated.is_some() {
                        self.documents.chosen(&manifest);
                    }
                    self.image(entry, manifest)
                }
                Err(error) => Err(error),
            };
            let image = match found {
                Ok(image) => image,
                Err(Error::Select { source: SelectError::NoPlatform { offered, .. }, .. }) => {
                    seen.extend(offered);
                    continue;
                }
                Err(Error::Select { source: SelectError::Empty, .. }) => continue,
                Err(error) if is_no_image(&error, stated.as_ref()) => {
                    no_image.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            // An entry with a platform was chosen by it; for the others, the config decides.
            match (stated, &image.config.platform) {
                (None, Some(platform)) if self.wanted.distance(platform).is_none() => seen.push(platform.clone()),
                (None, None) => unsure = better(unsure, image),
                (Some(stated), Some(platform)) if self.wanted.distance(platform).is_none() => {
                    log::warn!("{}: the index calls an image {stated} that calls itself {platform}", self.image);
                    return Ok(image);
                }
                _ => return Ok(image),
            }
        }
        if let Some(image) = unsure {
            return Ok(image);
        }
        seen.extend(entries.iter().filter(|e| !e.is_attestation()).filter_map(Platform::stated));
        match no_image {
            Some(error) if seen.is_empty() => Err(error),
            _ => Err(self.select(select::no_platform(&self.wanted, seen.into_iter()))),
        }
    }

    fn image(&mut self, descriptor: &Descriptor, manifest: Box<Manifest>) -> Result<Image, Error> {
        let bytes = self.bytes(&manifest.config, D::config)?;
        let config = Config::parse(bytes, manifest.layers.len()).map_err(|source| Error::Config {
            image: self.image.clone(),
            digest: manifest.config.digest.clone(),
            source,
        })?;
        let described = Platform::stated(descriptor);
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

/// Refuses an image for another platform than `wanted`, or only warns if that is merely the default (not `explicit`).
pub(super) fn check_platform(
    of_image: Option<&Platform>,
    wanted: &Platform,
    explicit: bool,
    shown: &str,
) -> Result<(), Error> {
    if let Some(platform) = of_image.filter(|platform| wanted.distance(platform).is_none()) {
        if explicit {
            let source = select::no_platform(wanted, [platform.clone()].into_iter());
            return Err(Error::Select { image: shown.to_owned(), source });
        }
        log::warn!("{shown}: the image is for {platform}, this machine is {wanted}");
    }
    Ok(())
}

/// Whether an entry turned out to be a signature, a bill of materials or the like: they are listed among images, and not
/// every index tells them apart.
fn is_no_image(error: &Error, stated: Option<&Platform>) -> bool {
    match error {
        Error::Document { source: DocumentError::Artifact(_), .. } => true,
        Error::Config { .. } => stated.is_none(),
        _ => false,
    }
}

/// Chooses between images that do not say what they run on: the first one whose layers are tars, else the first one. A
/// cosign signature also has the form of an image.
fn better(found: Option<Image>, other: Image) -> Option<Image> {
    let has_tars = |image: &Image| image.manifest.layers.iter().all(|layer| media_type::is_layer(&layer.media_type));
    match found {
        Some(found) if has_tars(&found) || !has_tars(&other) => Some(found),
        _ => Some(other),
    }
}
