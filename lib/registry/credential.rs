//! Credentials for a registry.

use super::Secret;

/// The credentials for a registry.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// A user name and a password.
    Basic {
        /// The user name.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
    /// A refresh token, which a token server exchanges for an access token.
    Identity(Secret),
    /// An access token that works without a token server.
    Bearer(Secret),
}

impl Credential {
    /// The secret part.
    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Basic { password, .. } => password,
            Self::Identity(secret) | Self::Bearer(secret) => secret,
        }
    }
}
