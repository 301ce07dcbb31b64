//! Leases on the wire: keys of sixteen bytes, or oplocks, one for each open, where the dialect has no leases.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use smb_client::{Break, Breaks, File, FileId, LeaseRequest, LeaseState, PathLease};
use smb_proto::NtStatus;
use tokio::sync::mpsc;

use crate::remote::{Caching, Granted, LeaseAsk, LeaseKey, Place, RemoteEvent, RemoteResult};

/// Breaks of oplocks whose opens are not known yet that are kept; a server has no reason to send more.
const STRAYS: usize = 256;

/// The leases of one mount.
#[derive(Debug)]
pub(super) struct Leases {
    /// The first half of all our keys, so that no two mounts have one in common.
    prefix: [u8; 8],
    oplocks: Mutex<Oplocks>,
}

#[derive(Debug, Default)]
struct Oplocks {
    /// Opens that hold an oplock.
    held: HashMap<FileId, (LeaseKey, Weak<File>)>,
    /// What was broken and is to be acknowledged.
    broken: HashMap<LeaseKey, Vec<FileId>>,
    /// Broken before the answer to the open was seen.
    strays: Vec<(FileId, LeaseState)>,
}

impl Leases {
    pub(super) fn new(unique: smb_client::LeaseKey) -> Self {
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&unique.0[..8]);
        // The client's own keys begin alike and count from one as inodes do.
        prefix[0] ^= 0x80;
        Self { prefix, oplocks: Mutex::default() }
    }

    /// The same keys for another connection of the same client.
    pub(super) fn again(&self) -> Self {
        Self { prefix: self.prefix, oplocks: Mutex::default() }
    }

    fn wire(&self, key: LeaseKey) -> smb_client::LeaseKey {
        let mut wire = [0; 16];
        wire[..8].copy_from_slice(&self.prefix);
        wire[8..].copy_from_slice(&key.0.to_le_bytes());
        smb_client::LeaseKey(wire)
    }

    fn ours(&self, wire: smb_client::LeaseKey) -> Option<LeaseKey> {
        let (prefix, number) = wire.0.split_at(8);
        let number: [u8; 8] = number.try_into().ok()?;
        (*prefix == self.prefix).then(|| LeaseKey(u64::from_le_bytes(number)))
    }

    pub(super) fn request(&self, ask: &LeaseAsk) -> LeaseRequest {
        LeaseRequest {
            key: self.wire(ask.key),
            state: state_of(ask.want),
            parent: ask.parent.map(|key| self.wire(key)),
        }
    }

    fn of_path(&self, place: &Place<'_>) -> PathLease {
        PathLease { key: place.key.map(|key| self.wire(key)), parent: place.parent.map(|key| self.wire(key)) }
    }

    /// Does something by path that is not to break our own leases there.
    pub(super) async fn with<T, F>(
        &self,
        place: &Place<'_>,
        work: impl Fn(PathLease) -> F,
    ) -> smb_client::Result<T>
    where
        F: Future<Output = smb_client::Result<T>>,
    {
        let lease = self.of_path(place);
        match work(lease).await {
            // By the server's book the key is another name's: somebody else renamed the file.
            Err(error)
                if lease != PathLease::default() && error.status() == Some(NtStatus::INVALID_PARAMETER) =>
            {
                tracing::debug!(path = %place.path, ?lease, "without the lease");
                work(PathLease::default()).await
            }
            result => result,
        }
    }

    /// What an open was granted; an oplock is noted, with what was broken of it already.
    pub(super) fn granted(&self, ask: Option<&LeaseAsk>, file: &Arc<File>) -> Granted {
        let Some(ask) = ask else { return Granted::default() };
        let granted = file.lease();
        let mut caching = caching_of(granted.state);
        if granted.epoch.is_none() && caching != Caching::NONE {
            let mut oplocks = self.oplocks();
            let at = oplocks.strays.iter().position(|(id, _)| *id == file.id());
            if let Some((id, left)) = at.map(|at| oplocks.strays.swap_remove(at)) {
                caching = caching.and(caching_of(left));
                oplocks.broken.entry(ask.key).or_default().push(id);
            }
            oplocks.held.insert(file.id(), (ask.key, Arc::downgrade(file)));
        }
        Granted { caching, epoch: granted.epoch, breaking: granted.breaking }
    }

    pub(super) fn closed(&self, file: FileId) {
        self.oplocks().held.remove(&file);
    }

    /// What a break means; `None` if it is nobody's.
    fn event(&self, broken: Break) -> Option<RemoteEvent> {
        match broken {
            Break::Lease { key, new, epoch, acknowledge, .. } => Some(RemoteEvent::LeaseBreak {
                key: self.ours(key)?,
                to: caching_of(new),
                epoch: (epoch != 0).then_some(epoch),
                acknowledge,
            }),
            Break::Oplock { file, new } => {
                let mut oplocks = self.oplocks();
                let Some((key, _)) = oplocks.held.get(&file) else {
                    if oplocks.strays.len() < STRAYS {
                        oplocks.strays.push((file, new));
                    }
                    return None;
                };
                let key = *key;
                oplocks.broken.entry(key).or_default().push(file);
                Some(RemoteEvent::LeaseBreak { key, to: caching_of(new), epoch: None, acknowledge: true })
            }
            _ => None,
        }
    }

    /// Tells what the server takes back, until the connection ends.
    pub(super) async fn hear(
        self: Arc<Self>,
        mut breaks: Breaks,
        events: mpsc::UnboundedSender<RemoteEvent>,
    ) {
        while let Some(broken) = breaks.next().await {
            if let Some(event) = self.event(broken)
                && events.send(event).is_err()
            {
                return;
            }
        }
        let _ = events.send(RemoteEvent::Lost);
    }

    pub(super) async fn acknowledge(
        &self,
        share: &smb_client::Share,
        key: LeaseKey,
        keep: Caching,
    ) -> RemoteResult<()> {
        let files: Vec<Arc<File>> = {
            let mut oplocks = self.oplocks();
            let broken = oplocks.broken.remove(&key);
            let held = broken.iter().flatten().filter_map(|id| oplocks.held.get(id));
            held.filter_map(|(_, file)| file.upgrade()).collect()
        };
        if files.is_empty() {
            return Ok(share.acknowledge_lease(self.wire(key), state_of(keep)).await?);
        }
        for file in files {
            // Nothing but reading can be left of an oplock.
            let left = if keep.read { LeaseState::READ } else { LeaseState::empty() };
            file.acknowledge_oplock(left).await?;
        }
        Ok(())
    }

    fn oplocks(&self) -> MutexGuard<'_, Oplocks> {
        self.oplocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an open was granted, by a lease only.
pub(super) fn granted_to(file: &File) -> Granted {
    let granted = file.lease();
    match granted.epoch {
        Some(_) => {
            Granted { caching: caching_of(granted.state), epoch: granted.epoch, breaking: granted.breaking }
        }
        None => Granted::default(),
    }
}

fn caching_of(state: LeaseState) -> Caching {
    Caching {
        read: state.contains(LeaseState::READ),
        write: state.contains(LeaseState::WRITE),
        handle: state.contains(LeaseState::HANDLE),
    }
}

fn state_of(caching: Caching) -> LeaseState {
    let mut state = LeaseState::empty();
    state.set(LeaseState::READ, caching.read);
    state.set(LeaseState::WRITE, caching.write);
    state.set(LeaseState::HANDLE, caching.handle);
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_mounts_are_not_ours() {
        let a = Leases::new(smb_client::LeaseKey([1; 16]));
        let b = Leases::new(smb_client::LeaseKey([2; 16]));
        assert_eq!(a.ours(a.wire(LeaseKey(77))), Some(LeaseKey(77)));
        assert_eq!(b.ours(a.wire(LeaseKey(77))), None);
    }
}
