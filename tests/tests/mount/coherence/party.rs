//! Who changes and who looks: a program on a mount, or a client without one.

use sharefs_tests::{Mount, Samba};
use smb_client::{FileAttributes, FileTime, NtStatus, OpenOptions, SetAttributes, blocking};

use super::{Observation, Operation};
use crate::agent::Agent;

/// The time that [`Operation::Utimes`] sets: 2001-09-09.
pub(super) const SET_TIME: i64 = 1_000_000_000;

/// How a server says that there is no such file.
const ABSENT: [NtStatus; 3] =
    [NtStatus::OBJECT_NAME_NOT_FOUND, NtStatus::OBJECT_PATH_NOT_FOUND, NtStatus::NO_SUCH_FILE];

/// A party to the matrix. What it works on is in a directory of the share, and is called `it`.
pub(super) trait Party {
    /// Does it to `it` in this directory.
    fn act(&mut self, operation: Operation, directory: &str);

    /// Makes a file with this content.
    fn make(&mut self, path: &str, content: &str);

    /// Makes a directory.
    fn make_directory(&mut self, path: &str);

    /// Opens a file, for [`Observation::Held`].
    fn hold(&mut self, path: &str);

    /// What it sees, in words that are the same for all parties.
    fn observe(&mut self, what: Observation, path: &str) -> String;
}

/// What a party does in a mount.
const AGENT: &str = r"
import os, stat, sys
os.chdir('mnt')
held = None
def put(path, flags, text):
    f = os.open(path, flags)
    os.write(f, text)
    os.close(f)
def look(path):
    s = os.stat(path)
    if stat.S_ISDIR(s.st_mode): return 'directory'
    return 'file %d %s' % (s.st_size, 'rw' if s.st_mode & 0o200 else 'ro')
def read(path):
    with open(path) as f: return f.read()
def do(command, path, argument):
    global held
    it, new = path + '/it', path + '/new'
    if command == 'make': put(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, argument.encode())
    elif command == 'makedirectory': os.mkdir(path)
    elif command == 'hold': held = os.open(path, os.O_RDONLY)
    elif command == 'Create': put(it, os.O_WRONLY | os.O_CREAT | os.O_EXCL, b'')
    elif command == 'Write': put(it, os.O_WRONLY, b'NEW')
    elif command == 'Append': put(it, os.O_WRONLY | os.O_APPEND, b'more')
    elif command == 'Truncate': os.truncate(it, 1)
    elif command == 'Delete': os.unlink(it)
    elif command in ('RenameFile', 'RenameDirectory'): os.rename(it, new)
    elif command == 'MakeDirectory': os.mkdir(it)
    elif command == 'RemoveDirectory': os.rmdir(it)
    elif command == 'ReadOnly': os.chmod(it, 0o444)
    elif command == 'Utimes': os.utime(it, (int(argument), int(argument)))
    elif command in ('Stat', 'Lookup'): return look(path)
    elif command == 'Time': return str(int(os.stat(path).st_mtime))
    elif command == 'Read': return read(path)
    elif command == 'Held': return os.pread(held, 100, 0).decode()
    elif command == 'List': return ' '.join(sorted(os.listdir(path)))
    else: raise ValueError(command)
    return 'done'
for line in sys.stdin:
    try: answer = do(*line.rstrip('\n').split('\t'))
    except FileNotFoundError: answer = 'absent'
    except Exception as e: answer = 'failed: %r' % e
    print(answer, flush=True)
";

/// A program that works in a mount.
pub(super) struct Program(Agent);

impl Program {
    /// Starts it.
    pub(super) fn start(mount: &Mount) -> Self {
        Self(Agent::start(mount, AGENT))
    }

    fn ask(&mut self, command: &str, path: &str, argument: &str) -> String {
        self.0.ask(&format!("{command}\t{path}\t{argument}"))
    }

    fn tell(&mut self, command: &str, path: &str, argument: &str) {
        assert_eq!(self.ask(command, path, argument), "done", "{command} {path}");
    }
}

impl Party for Program {
    fn act(&mut self, operation: Operation, directory: &str) {
        self.tell(&format!("{operation:?}"), directory, &SET_TIME.to_string());
    }

    fn make(&mut self, path: &str, content: &str) {
        self.tell("make", path, content);
    }

    fn make_directory(&mut self, path: &str) {
        self.tell("makedirectory", path, "");
    }

    fn hold(&mut self, path: &str) {
        self.tell("hold", path, "");
    }

    fn observe(&mut self, what: Observation, path: &str) -> String {
        self.ask(&format!("{what:?}"), path, "")
    }
}

/// The client library, which caches nothing.
pub(super) struct Client {
    share: blocking::Share,
    held: Option<blocking::File>,
    // The connection lives as long as this.
    _client: blocking::Client,
}

impl Client {
    /// Logs in.
    pub(super) fn connect(samba: &Samba) -> Self {
        let client = blocking::Client::connect(&samba.options()).expect("logging in");
        let share = client.share("data").expect("the share data");
        Self { share, held: None, _client: client }
    }

    fn change(&self, path: &str, size: Option<u64>, set: SetAttributes) -> smb_client::Result<()> {
        self.share.modify(path, size, &set).map(drop)
    }

    fn look(&self, what: Observation, path: &str) -> smb_client::Result<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match what {
            Observation::Stat | Observation::Lookup => {
                let metadata = self.share.metadata(path)?;
                let read_only = metadata.attributes.contains(FileAttributes::READONLY);
                match metadata.is_dir() {
                    true => "directory".into(),
                    false => format!("file {} {}", metadata.size, if read_only { "ro" } else { "rw" }),
                }
            }
            Observation::Time => self.share.metadata(path)?.written.to_unix().0.to_string(),
            Observation::Read => text(&self.share.read(path)?),
            Observation::Held => text(&self.held.as_ref().expect("a file was opened").read_at(0, 100)?),
            Observation::List => {
                let mut names: Vec<_> =
                    self.share.read_dir(path)?.into_iter().map(|entry| entry.name).collect();
                names.sort();
                names.join(" ")
            }
        })
    }
}

impl Party for Client {
    fn act(&mut self, operation: Operation, directory: &str) {
        let (it, new) = (format!("{directory}/it"), format!("{directory}/new"));
        let write = |offset, data: &'static [u8]| {
            let file = self.share.open(&it, &OpenOptions::write())?;
            file.write_at(offset, data)?;
            file.close().expect("closing");
            Ok(())
        };
        let nothing = SetAttributes::default();
        let result = match operation {
            Operation::Create => write(0, b""),
            Operation::Write => write(0, b"NEW"),
            Operation::Append => write(3, b"more"),
            Operation::Truncate => self.change(&it, Some(1), nothing),
            Operation::Delete => self.share.remove_file(&it),
            Operation::RenameFile | Operation::RenameDirectory => self.share.rename(&it, &new, false),
            Operation::MakeDirectory => self.share.create_dir(&it).map(drop),
            Operation::RemoveDirectory => self.share.remove_dir(&it),
            Operation::ReadOnly => {
                let attributes = Some(FileAttributes::READONLY);
                self.change(&it, None, nothing.attributes(attributes))
            }
            Operation::Utimes => {
                let written = Some(FileTime::from_unix(SET_TIME, 0));
                self.change(&it, None, nothing.written(written))
            }
        };
        result.unwrap_or_else(|error| panic!("{operation:?} {it}: {error}"));
    }

    fn make(&mut self, path: &str, content: &str) {
        self.share.write(path, content.to_owned()).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    fn make_directory(&mut self, path: &str) {
        self.share.create_dir(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    fn hold(&mut self, path: &str) {
        self.held = Some(self.share.open(path, &OpenOptions::read()).expect("opening"));
    }

    fn observe(&mut self, what: Observation, path: &str) -> String {
        match self.look(what, path) {
            Ok(said) => said,
            Err(error) if ABSENT.map(Some).contains(&error.status()) => "absent".into(),
            Err(error) => format!("failed: {error}"),
        }
    }
}
