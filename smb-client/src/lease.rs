//! Leases: what this client may keep of a file without asking again.

use smb_proto::conn::Negotiated;
use smb_proto::wire::{
    Capabilities, CreateContext, CreateOptions, CreateResponse, Dialect, Lease, LeaseState, LeaseV2,
    OplockLevel,
};

/// `SMB2_LEASE_FLAG_BREAK_IN_PROGRESS` ([MS-SMB2] 2.2.14.2.10)
const BREAK_IN_PROGRESS: u32 = 0x2;
/// `SMB2_LEASE_FLAG_PARENT_LEASE_KEY_SET` ([MS-SMB2] 2.2.13.2.10)
const PARENT_LEASE_KEY_SET: u32 = 0x4;

/// What there is to be leased; a server may know bits that this crate does not.
pub(crate) const ALL: LeaseState = LeaseState::READ.union(LeaseState::HANDLE).union(LeaseState::WRITE);

/// Names the lease of a file to the server: all opens of the file on one connection carry the same key, and no
/// other file's do. See [`crate::Client::lease_key`]. Another hard link of the file counts as another file: while
/// an open has the key, servers refuse it with another name ([`smb_proto::NtStatus::INVALID_PARAMETER`]), but one
/// that the file got by [`crate::Share::rename_with`] and this key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseKey(pub [u8; 16]);

/// The lease to ask for with an open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The file's lease.
    pub key: LeaseKey,
    /// What to ask for. Empty asks for nothing: it says that the open belongs to whoever holds the lease, so that
    /// it is not broken on the open's account.
    pub state: LeaseState,
    /// The lease of the directory that the file is in: what the open changes there does not break it either.
    pub parent: Option<LeaseKey>,
}

/// What an open was granted, never more than it asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Granted {
    /// What may be kept. Of an oplock: batch is all, exclusive is READ and WRITE, level II is READ.
    pub state: LeaseState,
    /// Counts the lease's changes, so that a break and an answer to an open that cross each other can be told
    /// apart: the higher one (modulo 2^16) is the later. Only dialects 3.x have it.
    pub epoch: Option<u16>,
    /// The server is taking the lease back at this moment: a break has been sent, and waits for its
    /// acknowledgement.
    pub breaking: bool,
}

/// The leases that an operation by path belongs to, which it does not break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathLease {
    /// The lease of what the path names.
    pub key: Option<LeaseKey>,
    /// The lease of the directory that it is in.
    pub parent: Option<LeaseKey>,
}

impl PathLease {
    /// Where the file has no lease of its own, `unique` names it: only a lease says who its parent is.
    pub(crate) fn request(self, unique: LeaseKey) -> Option<LeaseRequest> {
        let state = LeaseState::empty();
        (self != Self::default()).then(|| LeaseRequest {
            key: self.key.unwrap_or(unique),
            state,
            parent: self.parent,
        })
    }
}

/// The way in which a connection leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leasing {
    Oplocks,
    V1,
    V2 { directories: bool },
}

impl Leasing {
    pub(crate) fn of(negotiated: &Negotiated) -> Self {
        let can = |capability| negotiated.capabilities.contains(capability);
        match negotiated.dialect {
            Dialect::Smb202 => Self::Oplocks,
            _ if !can(Capabilities::LEASING) => Self::Oplocks,
            Dialect::Smb210 => Self::V1,
            _ => Self::V2 { directories: can(Capabilities::DIRECTORY_LEASING) },
        }
    }

    /// What a CREATE says to ask for this.
    pub(crate) fn ask(
        self,
        request: Option<LeaseRequest>,
        options: CreateOptions,
    ) -> (OplockLevel, Option<CreateContext>) {
        let Some(LeaseRequest { key, state, parent }) = request else { return (OplockLevel::None, None) };
        let directory = options.contains(CreateOptions::DIRECTORY_FILE);
        let state = state & ALL;
        let (flags, v2) = match self {
            Self::Oplocks => return (oplock(state), None),
            Self::V1 | Self::V2 { directories: false } if directory => return (OplockLevel::None, None),
            Self::V1 => (0, None),
            Self::V2 { directories } => match parent.filter(|_| directories) {
                Some(LeaseKey(parent_key)) => (PARENT_LEASE_KEY_SET, Some(LeaseV2 { parent_key, epoch: 0 })),
                None => (0, Some(LeaseV2 { parent_key: [0; 16], epoch: 0 })),
            },
        };
        (OplockLevel::Lease, Some(CreateContext::Lease(Lease { key: key.0, state, flags, v2 })))
    }
}

/// The oplock that lets its holder keep no more than this. There is none for an open handle alone.
const fn oplock(state: LeaseState) -> OplockLevel {
    let (read, write) = (state.contains(LeaseState::READ), state.contains(LeaseState::WRITE));
    match (read, write, state.contains(LeaseState::HANDLE)) {
        (true, true, true) => OplockLevel::Batch,
        (true, true, false) => OplockLevel::Exclusive,
        (true, false, _) => OplockLevel::LevelII,
        (false, ..) => OplockLevel::None,
    }
}

/// What the holder of an oplock may keep.
pub(crate) const fn state_of(level: OplockLevel) -> LeaseState {
    match level {
        OplockLevel::None | OplockLevel::Lease => LeaseState::empty(),
        OplockLevel::LevelII => LeaseState::READ,
        OplockLevel::Exclusive => LeaseState::READ.union(LeaseState::WRITE),
        OplockLevel::Batch => ALL,
    }
}

/// The oplock that a holder is left with: only level II and none can be.
pub(crate) const fn oplock_left(state: LeaseState) -> OplockLevel {
    if state.contains(LeaseState::READ) { OplockLevel::LevelII } else { OplockLevel::None }
}

impl Granted {
    /// What the answer to an open grants of what was asked for.
    pub(crate) fn of(response: &CreateResponse, asked: Option<LeaseRequest>) -> Self {
        let Some(asked) = asked else { return Self::default() };
        if response.oplock != OplockLevel::Lease {
            return Self { state: state_of(response.oplock) & asked.state, ..Self::default() };
        }
        let lease = response.contexts.iter().find_map(|context| match context {
            // Another's lease is none: nothing would ever break it.
            CreateContext::Lease(lease) if lease.key == asked.key.0 => Some(lease),
            _ => None,
        });
        lease.map_or_else(Self::default, |lease| Self {
            state: lease.state & asked.state & ALL,
            epoch: lease.v2.map(|v2| v2.epoch),
            breaking: lease.flags & BREAK_IN_PROGRESS != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use smb_proto::wire::{CreateAction, FileId, FileTimes};

    use super::*;

    const KEY: LeaseKey = LeaseKey([1; 16]);
    const PARENT: LeaseKey = LeaseKey([2; 16]);
    const R: LeaseState = LeaseState::READ;
    const RH: LeaseState = LeaseState::READ.union(LeaseState::HANDLE);
    const RW: LeaseState = LeaseState::READ.union(LeaseState::WRITE);
    const V2: Leasing = Leasing::V2 { directories: true };

    fn request(state: LeaseState) -> LeaseRequest {
        LeaseRequest { key: KEY, state, parent: Some(PARENT) }
    }

    fn response(oplock: OplockLevel, contexts: Vec<CreateContext>) -> CreateResponse {
        CreateResponse {
            oplock,
            flags: 0,
            action: CreateAction::Opened,
            times: FileTimes::default(),
            allocation_size: 0,
            end_of_file: 0,
            attributes: smb_proto::fscc::FileAttributes::NORMAL,
            file_id: FileId::default(),
            contexts,
        }
    }

    fn lease(key: LeaseKey, state: LeaseState, epoch: u16) -> CreateContext {
        let v2 = Some(LeaseV2 { parent_key: [0; 16], epoch });
        CreateContext::Lease(Lease { key: key.0, state, flags: 0, v2 })
    }

    #[test]
    fn each_dialect_is_asked_in_its_way() {
        let none = CreateOptions::empty();
        let asked = |leasing: Leasing, options| leasing.ask(Some(request(RH)), options);
        let context = |flags, v2| {
            (OplockLevel::Lease, Some(CreateContext::Lease(Lease { key: KEY.0, state: RH, flags, v2 })))
        };
        assert_eq!(asked(Leasing::V1, none), context(0, None));
        assert_eq!(asked(V2, none), context(4, Some(LeaseV2 { parent_key: PARENT.0, epoch: 0 })));
        let without = Leasing::V2 { directories: false };
        assert_eq!(asked(without, none), context(0, Some(LeaseV2 { parent_key: [0; 16], epoch: 0 })));
        let directory = CreateOptions::DIRECTORY_FILE;
        assert_eq!(asked(V2, directory), asked(V2, none));
        for leasing in [Leasing::V1, without] {
            assert_eq!(asked(leasing, directory), (OplockLevel::None, None));
        }
        assert_eq!(V2.ask(None, none), (OplockLevel::None, None));
    }

    #[test]
    fn an_oplock_allows_no_more_than_was_asked_for() {
        for (state, level) in [
            (ALL, OplockLevel::Batch),
            (RW, OplockLevel::Exclusive),
            (RH, OplockLevel::LevelII),
            (R, OplockLevel::LevelII),
            (LeaseState::WRITE | LeaseState::HANDLE, OplockLevel::None),
            (LeaseState::empty(), OplockLevel::None),
        ] {
            let asked = Leasing::Oplocks.ask(Some(request(state)), CreateOptions::empty());
            assert_eq!(asked, (level, None));
            assert!(state.contains(state_of(level)), "{state:?}");
        }
    }

    #[test]
    fn nothing_is_granted_that_was_not_asked_for() {
        let granted =
            |oplock, contexts, state| Granted::of(&response(oplock, contexts), Some(request(state)));
        let all = LeaseState::from_bits_retain(u32::MAX);
        let more = granted(OplockLevel::Lease, vec![lease(KEY, all, 7)], RH);
        assert_eq!(more, Granted { state: RH, epoch: Some(7), breaking: false });
        assert_eq!(granted(OplockLevel::Batch, vec![], R).state, R);
        let nothing = Granted::default();
        assert_eq!(granted(OplockLevel::Lease, vec![lease(PARENT, all, 7)], RH), nothing, "another's");
        assert_eq!(granted(OplockLevel::Lease, vec![], RH), nothing);
        assert_eq!(granted(OplockLevel::None, vec![lease(KEY, all, 7)], RH), nothing);
        let unasked = response(OplockLevel::Lease, vec![lease(KEY, all, 7)]);
        assert_eq!(Granted::of(&unasked, None), nothing);
    }

    #[test]
    fn a_path_without_leases_asks_for_nothing() {
        let unique = LeaseKey([9; 16]);
        assert_eq!(PathLease::default().request(unique), None);
        let below = PathLease { parent: Some(PARENT), ..PathLease::default() }.request(unique).unwrap();
        assert_eq!((below.key, below.state, below.parent), (unique, LeaseState::empty(), Some(PARENT)));
        let own = PathLease { key: Some(KEY), parent: None }.request(unique).unwrap();
        assert_eq!((own.key, own.parent), (KEY, None));
    }
}
