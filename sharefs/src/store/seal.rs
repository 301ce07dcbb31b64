//! How the store is encrypted, and with which key.
//!
//! The file is a line that says what it is, eight bytes that tell the key, a nonce of twelve, and AES-256-GCM's
//! ciphertext with its tag of sixteen (NIST SP 800-38D); all before the ciphertext is authenticated with it. Each
//! writing has a random nonce: one key would have to write 2^32 times before two are likely to be the same.

use std::fs;
use std::path::{Path, PathBuf};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::private::{self, Purpose};

const MAGIC: &[u8] = b"sharefs credentials 1\n";
const ID: usize = 8;
const NONCE: usize = 12;
const HEADER: usize = MAGIC.len() + ID + NONCE;
const TAG: usize = 16;
/// Shorter is no key that somebody made for this.
const SHORTEST_KEY: usize = 16;
/// systemd's name of a key that a unit loads.
const SYSTEMD_NAME: &str = "sharefs.key";

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// systemd has decrypted it for this service: `LoadCredentialEncrypted=sharefs.key`.
    Service(PathBuf),
    /// A file on this machine, which is made where it is missing.
    Machine(PathBuf),
}

impl KeyPlace {
    pub(super) fn find() -> Result<Self> {
        if let Some(dir) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = Path::new(&dir).join(SYSTEMD_NAME);
            if path.exists() {
                return Ok(Self::Service(path));
            }
        }
        Ok(Self::Machine(private::folder(Purpose::State)?.join("store.key")))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Service(path) | Self::Machine(path) => path,
        }
    }
}

/// The key of a store.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Reads it; none where there is no such file.
    pub(super) fn read(place: &KeyPlace) -> Result<Option<Self>> {
        let secret = match place {
            // systemd's files are its own: owned by root, and readable for the service.
            KeyPlace::Service(path) => {
                let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                Zeroizing::new(bytes)
            }
            KeyPlace::Machine(path) => match private::read(path)? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        if secret.len() < SHORTEST_KEY {
            bail!("the key {} has fewer than {SHORTEST_KEY} bytes", place.path().display());
        }
        let digest = Sha256::new().chain_update(b"sharefs store key\0").chain_update(&*secret).finalize();
        Ok(Some(Self(Zeroizing::new(digest.into()))))
    }

    /// Makes it, and reads it.
    pub(super) fn make(place: &KeyPlace) -> Result<Self> {
        let path = place.path();
        private::make(path.parent().unwrap_or_else(|| Path::new("/")))?;
        let mut secret = Zeroizing::new([0; 32]);
        random(&mut *secret)?;
        private::replace(path, &*secret)?;
        Self::read(place)?.with_context(|| format!("{} is gone again", path.display()))
    }

    /// Tells keys apart, and nothing of the key.
    fn id(&self) -> [u8; ID] {
        let digest =
            Sha256::new().chain_update(b"sharefs store key id\0").chain_update(self.0.as_slice()).finalize();
        let mut id = [0; ID];
        id.copy_from_slice(&digest[..ID]);
        id
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.0).into())
    }
}

/// Encrypts a text.
pub(super) fn seal(key: &Key, mut text: Zeroizing<Vec<u8>>) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    random(&mut nonce)?;
    let mut sealed = Vec::with_capacity(HEADER + text.len() + TAG);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&key.id());
    sealed.extend_from_slice(&nonce);
    let tag = key
        .cipher()
        .encrypt_inout_detached(&nonce.into(), &sealed, text.as_mut_slice().into())
        .map_err(|_| anyhow!("the store is too large"))?;
    sealed.extend_from_slice(&text);
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Decrypts what [`seal`] has made.
///
/// # Errors
///
/// Where it is something else, of another key, or changed.
pub(super) fn open(key: &Key, mut sealed: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    if !sealed.starts_with(MAGIC) || sealed.len() < HEADER + TAG {
        bail!("it is not a store of credentials");
    }
    if sealed[MAGIC.len()..MAGIC.len() + ID] != key.id() {
        bail!("it was written with another key");
    }
    let (header, body) = sealed.split_at_mut(HEADER);
    let (text, tag) = body.split_at_mut(body.len() - TAG);
    let (mut nonce, mut expected) = ([0; NONCE], [0; TAG]);
    nonce.copy_from_slice(&header[MAGIC.len() + ID..]);
    expected.copy_from_slice(tag);
    key.cipher()
        .decrypt_inout_detached(&nonce.into(), header, (&mut *text).into(), &expected.into())
        .map_err(|_| anyhow!("somebody has changed it"))?;
    Ok(Zeroizing::new(text.to_vec()))
}

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow!("the system gives no random numbers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key(Zeroizing::new([byte; 32]))
    }

    fn sealed(text: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(seal(&key(1), Zeroizing::new(text.to_vec())).unwrap())
    }

    #[test]
    fn what_was_sealed_opens_with_its_key_only() {
        let text = b"a secret text";
        assert_eq!(*open(&key(1), sealed(text)).unwrap(), text);
        assert!(open(&key(2), sealed(text)).unwrap_err().to_string().contains("another key"));
        assert_eq!(*open(&key(1), sealed(b"")).unwrap(), b"");
        assert_ne!(sealed(text), sealed(text));
        assert!(!sealed(text).windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let whole = sealed(b"a secret text");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(open(&key(1), changed).is_err(), "{at}");
            assert!(open(&key(1), Zeroizing::new(whole[..at].to_vec())).is_err(), "{at}");
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert!(open(&key(1), Zeroizing::new(longer)).is_err());
    }
}
