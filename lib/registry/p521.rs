//! The curve P-521, which ring lacks: signatures of certificates and handshakes, and those by our own keys (SEC 1;
//! FIPS 186-5).
//!
//! It is rare, used mostly by private authorities, so portable code that takes a millisecond or two will do.

use std::sync::{Arc, LazyLock};

use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{DerSignature, Signature, SigningKey as EcdsaKey, VerifyingKey};
use p521::pkcs8::DecodePrivateKey;
use rustls::crypto::{CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm, alg_id};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// ring's cryptography, with P-521 added.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let ring = ring::default_provider();
        let WebPkiSupportedAlgorithms { all, mapping } = ring.signature_verification_algorithms;
        // Made once, and needed as long as the process lives.
        let all: &'static [_] = Vec::leak([all, &ALL[..]].concat());
        let mapping: &'static [_] = Vec::leak([mapping, &[HANDSHAKE]].concat());
        let signature_verification_algorithms = WebPkiSupportedAlgorithms { all, mapping };
        Arc::new(CryptoProvider { signature_verification_algorithms, key_provider: &Keys, ..ring })
    });
    Arc::clone(&PROVIDER)
}

static SHA256: P521 = P521 { hash: |message| Sha256::digest(message).to_vec(), id: alg_id::ECDSA_SHA256 };
static SHA384: P521 = P521 { hash: |message| Sha384::digest(message).to_vec(), id: alg_id::ECDSA_SHA384 };
static SHA512: P521 = P521 { hash: |message| Sha512::digest(message).to_vec(), id: alg_id::ECDSA_SHA512 };

const ALL: [&dyn SignatureVerificationAlgorithm; 3] = [&SHA256, &SHA384, &SHA512];

/// The signatures in handshakes.
const HANDSHAKE: (SignatureScheme, &[&dyn SignatureVerificationAlgorithm]) =
    (SignatureScheme::ECDSA_NISTP521_SHA512, &[&SHA512]);

/// The size of a field element in bytes.
const FIELD: usize = 66;

/// ECDSA on the curve, with one hash.
#[derive(Debug)]
struct P521 {
    hash: fn(&[u8]) -> Vec<u8>,
    id: AlgorithmIdentifier,
}

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        // The library wants the hash at the length of a field element.
        let hash = (self.hash)(message);
        let mut number = [0; FIELD];
        number[FIELD - hash.len()..].copy_from_slice(&hash);
        key.verify_prehash(&number, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}

/// Loads the keys of client certificates.
#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = match &der {
            PrivateKeyDer::Pkcs8(der) => p521::SecretKey::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Sec1(der) => p521::SecretKey::from_sec1_der(der.secret_sec1_der()).ok(),
            _ => None,
        };
        match key {
            Some(key) => Ok(Arc::new(Key(EcdsaKey::from(key)))),
            None => ring::default_provider().key_provider.load_private_key(der),
        }
    }
}

#[derive(Clone)]
struct Key(EcdsaKey);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP521_SHA512).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed: Result<DerSignature, _> = self.0.try_sign(message);
        signed.map(|signature| signature.as_bytes().to_vec()).map_err(|_| Error::General("signing failed".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}
