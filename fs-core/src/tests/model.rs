//! Random operations on the filesystem over the server in memory, and on a model a page long.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{RenameFlags, SetAttrs, errno as e};

const NAMES: [&str; 4] = ["alpha", "beta:", "Gamma", "delta."];
const SLOTS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Create { name: usize, slot: usize, exclusive: bool, truncate: bool },
    Open { name: usize, slot: usize, truncate: bool },
    Write { slot: usize, at: Option<u16>, len: u8, byte: u8 },
    Read { slot: usize, at: u16, len: u16 },
    Truncate { name: usize, size: u16 },
    Release { slot: usize },
    Unlink { name: usize },
    Rename { from: usize, to: usize, no_replace: bool },
    Stat { name: usize },
    List,
}

fn step() -> impl Strategy<Value = Step> {
    let (name, slot) = (0..NAMES.len(), 0..SLOTS);
    prop_oneof![
        (name.clone(), slot.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(name, slot, exclusive, truncate)| Step::Create { name, slot, exclusive, truncate }),
        (name.clone(), slot.clone(), any::<bool>()).prop_map(|(name, slot, truncate)| Step::Open {
            name,
            slot,
            truncate
        }),
        (slot.clone(), proptest::option::of(0..500u16), any::<u8>(), any::<u8>())
            .prop_map(|(slot, at, len, byte)| Step::Write { slot, at, len, byte }),
        (slot.clone(), 0..600u16, 0..600u16).prop_map(|(slot, at, len)| Step::Read { slot, at, len }),
        (name.clone(), 0..600u16).prop_map(|(name, size)| Step::Truncate { name, size }),
        slot.prop_map(|slot| Step::Release { slot }),
        name.clone().prop_map(|name| Step::Unlink { name }),
        (name.clone(), name.clone(), any::<bool>()).prop_map(|(from, to, no_replace)| Step::Rename {
            from,
            to,
            no_replace
        }),
        name.prop_map(|name| Step::Stat { name }),
        Just(Step::List),
    ]
}

/// What POSIX says: names lead to files, and open files outlive their names.
#[derive(Default)]
struct Model {
    names: BTreeMap<usize, usize>,
    files: Vec<Vec<u8>>,
    open: [Option<usize>; SLOTS],
}

struct Run {
    fs: Filesystem,
    remote: Arc<MemoryRemote>,
    model: Model,
    handles: [Option<Fh>; SLOTS],
}

impl Run {
    async fn hold(&mut self, slot: usize, fh: Fh, file: usize) {
        self.release(slot).await;
        self.handles[slot] = Some(fh);
        self.model.open[slot] = Some(file);
    }

    async fn release(&mut self, slot: usize) {
        if let Some(fh) = self.handles[slot].take() {
            self.fs.release(fh).await.unwrap();
        }
        self.model.open[slot] = None;
    }

    /// Look up as the kernel would, expecting what the model has.
    async fn lookup(&self, name: usize) -> Option<Ino> {
        let found = self.fs.lookup(Ino::ROOT, NAMES[name]).await;
        match self.model.names.get(&name) {
            Some(file) => {
                let attr = found.unwrap().attr;
                assert_eq!(attr.size, self.model.files[*file].len() as u64, "size of {}", NAMES[name]);
                Some(attr.ino)
            }
            None => {
                assert_eq!(errno(found), e::ENOENT);
                None
            }
        }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Create { name, slot, exclusive, truncate } => {
                let open = OpenFlags { truncate, ..WRITE };
                let result = self
                    .fs
                    .create(Ino::ROOT, NAMES[name], &Create { open, exclusive, mode: 0o644, owner: None })
                    .await;
                let file = match self.model.names.get(&name) {
                    Some(_) if exclusive => return assert_eq!(errno(result), e::EEXIST),
                    Some(file) => *file,
                    None => {
                        self.model.files.push(Vec::new());
                        self.model.files.len() - 1
                    }
                };
                self.model.names.insert(name, file);
                if truncate {
                    self.model.files[file].clear();
                }
                let (entry, fh) = result.unwrap();
                assert_eq!(entry.attr.size, self.model.files[file].len() as u64);
                self.hold(slot, fh, file).await;
            }
            Step::Open { name, slot, truncate } => {
                let Some(ino) = self.lookup(name).await else { return };
                let file = self.model.names[&name];
                let fh = self.fs.open(ino, OpenFlags { truncate, ..WRITE }).await.unwrap();
                if truncate {
                    self.model.files[file].clear();
                }
                self.hold(slot, fh, file).await;
            }
            Step::Write { slot, at, len, byte } => {
                let (Some(fh), Some(file)) = (self.handles[slot], self.model.open[slot]) else { return };
                let data = &mut self.model.files[file];
                let start = at.map_or(data.len(), usize::from);
                let end = start + usize::from(len);
                if len > 0 {
                    data.resize(data.len().max(end), 0);
                    data[start..end].fill(byte);
                }
                let at = at.map_or(WriteAt::End { believed: 0 }, |at| WriteAt::Offset(at.into()));
                let written = self.fs.write(fh, at, Bytes::from(vec![byte; len.into()])).await.unwrap();
                assert_eq!(written, u32::from(len));
            }
            Step::Read { slot, at, len } => {
                let (Some(fh), Some(file)) = (self.handles[slot], self.model.open[slot]) else { return };
                let data = &self.model.files[file];
                let start = usize::from(at).min(data.len());
                let end = (start + usize::from(len)).min(data.len());
                assert_eq!(self.fs.read(fh, at.into(), len.into()).await.unwrap()[..], data[start..end]);
            }
            Step::Truncate { name, size } => {
                let Some(ino) = self.lookup(name).await else { return };
                self.model.files[self.model.names[&name]].resize(size.into(), 0);
                let change = SetAttrs { size: Some(size.into()), ..SetAttrs::default() };
                assert_eq!(self.fs.setattr(ino, None, &change).await.unwrap().size, u64::from(size));
            }
            Step::Release { slot } => self.release(slot).await,
            Step::Unlink { name } => {
                let result = self.fs.unlink(Ino::ROOT, NAMES[name]).await;
                match self.model.names.remove(&name) {
                    Some(_) => result.unwrap(),
                    None => assert_eq!(errno(result), e::ENOENT),
                }
            }
            Step::Rename { from, to, no_replace } => {
                let flags = RenameFlags { no_replace, other: false };
                // The kernel looks both up first.
                let (source, target) = (self.lookup(from).await, self.lookup(to).await);
                if from == to {
                    return;
                }
                let result = self.fs.rename(Ino::ROOT, NAMES[from], Ino::ROOT, NAMES[to], flags).await;
                match (source, target) {
                    (None, _) => assert_eq!(errno(result), e::ENOENT),
                    (_, Some(_)) if no_replace => assert_eq!(errno(result), e::EEXIST),
                    _ => {
                        result.unwrap();
                        let file = self.model.names.remove(&from).unwrap();
                        self.model.names.insert(to, file);
                    }
                }
            }
            Step::Stat { name } => {
                let Some(ino) = self.lookup(name).await else { return };
                let size = self.model.files[self.model.names[&name]].len() as u64;
                assert_eq!(self.fs.getattr(ino, None).await.unwrap().size, size);
            }
            Step::List => {
                let mut listed = list(&self.fs, Ino::ROOT).await;
                listed.sort();
                let mut expected = vec![".".to_owned(), "..".to_owned()];
                expected.extend(self.model.names.keys().map(|name| NAMES[*name].to_owned()));
                expected.sort();
                assert_eq!(listed, expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_filesystem_does_what_the_model_does(
        steps in proptest::collection::vec(step(), 1..60),
        cached: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let remote = Arc::new(MemoryRemote::new(crate::RemoteLimits { max_read: 64, max_write: 50 }));
            let fs = another(&remote, if cached { LONG } else { Duration::ZERO });
            let mut run = Run { fs, remote, model: Model::default(), handles: [None; SLOTS] };
            for step in &steps {
                run.step(step).await;
            }
            for (name, file) in run.model.names.clone() {
                let expected = String::from_utf8_lossy(&run.model.files[file]).into_owned();
                assert_eq!(content(&run.fs, NAMES[name]).await.unwrap(), expected);
            }
            for slot in 0..SLOTS {
                run.release(slot).await;
            }
            assert_eq!(run.remote.open_handles(), 0);
            assert_eq!(run.remote.paths().len(), run.model.names.len(), "nothing hidden is left behind");
        });
    }
}
