//! The serving process's end of the socket.

use std::fs::{self, File, Permissions};
use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::{CLIENTS, IDLE, LONGEST_REQUEST, Reply, Request};
use crate::serving::Serving;
use crate::status::{runtime_dir, start_of};

const EXTENSION: &str = "sock";
/// How long the end of the mount waits for the last replies.
const GOODBYE: Duration = Duration::from_secs(1);
/// After the system had no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is not served yet.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// A socket that is served.
pub(crate) struct Served {
    path: PathBuf,
    clients: Arc<Semaphore>,
    over: watch::Sender<bool>,
}

impl Control {
    /// Makes this process's socket, in the user's folder.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub(crate) fn bind() -> Result<Self> {
        let folder = runtime_dir()?;
        sweep(&folder);
        let path = folder.join(format!("{}.{EXTENSION}", std::process::id()));
        // Of a process that had this number before.
        let _ = fs::remove_file(&path);
        let bind = || {
            let listener = by_short_name(&path, |name| UnixListener::bind(name))?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok::<_, io::Error>(listener)
        };
        let listener = bind().with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { listener, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Answers what is asked of `serving`, from now on.
    pub(crate) fn serve(self, serving: Arc<Serving>) -> Served {
        let clients = Arc::new(Semaphore::new(CLIENTS as usize));
        let (over, ended) = watch::channel(false);
        tokio::spawn(accept(self.listener, serving, clients.clone(), ended));
        Served { path: self.path, clients, over }
    }
}

impl Served {
    /// Takes the socket away, and lets the last replies be written.
    pub(crate) async fn end(self) {
        self.over.send_replace(true);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "removing the control socket");
        }
        if timeout(GOODBYE, self.clients.acquire_many(CLIENTS)).await.is_err() {
            tracing::debug!("somebody still waits at the control socket");
        }
    }
}

/// Removes the sockets of processes that were killed.
fn sweep(folder: &Path) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let is_socket = path.extension().is_some_and(|extension| extension == EXTENSION);
        let process = path.file_stem().and_then(|name| name.to_str());
        if is_socket && process.is_some_and(|process| start_of(process).is_none()) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Hands on a name that is short enough for a socket, however long the path is.
pub(super) fn by_short_name<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let parts = path.parent().zip(path.file_name());
    let (folder, name) = parts.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let folder = File::open(folder)?;
    act(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

async fn accept(
    listener: UnixListener,
    serving: Arc<Serving>,
    clients: Arc<Semaphore>,
    mut ended: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.wait_for(|over| *over) => return,
        };
        let mut stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "the control socket");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !is_allowed(&stream) {
            continue;
        }
        let Ok(permit) = clients.clone().try_acquire_owned() else {
            let reply = Reply::from(Err(anyhow!("{CLIENTS} others are connected already")));
            // There is room for it in the socket; who does not read it has lost nothing.
            let _ = stream.try_write(&line(&reply));
            continue;
        };
        let (serving, ended) = (serving.clone(), ended.clone());
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = converse(&mut stream, &serving, ended).await {
                tracing::debug!(%error, "a connection to the control socket");
            }
        });
    }
}

/// The folder keeps others out; this holds also where somebody has opened it to them.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own || peer.uid() == 0 => true,
        Ok(peer) => {
            tracing::warn!("the user {} is not allowed to use the control socket", peer.uid());
            false
        }
        Err(error) => {
            tracing::warn!(%error, "whoever is at the control socket is not known");
            false
        }
    }
}

/// Answers one request after the other, until the peer has gone or says nothing for a while.
async fn converse(
    stream: &mut UnixStream,
    serving: &Serving,
    mut ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut reading = BufReader::new(reading);
    loop {
        let asked = tokio::select! {
            asked = timeout(IDLE, read_line(&mut reading)) => asked,
            _ = ended.wait_for(|over| *over) => return Ok(()),
        };
        let Ok(asked) = asked else { return Ok(()) };
        let (reply, goes_on) = match asked? {
            None => return Ok(()),
            Some(asked) if asked.len() as u64 > LONGEST_REQUEST => {
                (Err(anyhow!("no request is longer than {LONGEST_REQUEST} bytes")), false)
            }
            Some(asked) => match serde_json::from_slice(&asked) {
                Ok(request) => tokio::select! {
                    reply = answer(request, serving) => (reply, true),
                    () = hung_up(&mut reading) => return Ok(()),
                },
                Err(error) => (Err(anyhow!("this is no request: {error}")), true),
            },
        };
        timeout(IDLE, writing.write_all(&line(&reply.into()))).await??;
        if !goes_on {
            return Ok(());
        }
    }
}

/// A line, or as much of it as shows that it is too long; none at the end.
async fn read_line(reading: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reading.take(LONGEST_REQUEST + 1).read_until(b'\n', &mut line).await?;
    let is_whole = line.ends_with(b"\n") || line.len() as u64 > LONGEST_REQUEST;
    Ok(is_whole.then_some(line))
}

/// Whoever asked waits no longer.
async fn hung_up(reading: &mut (impl AsyncBufRead + Unpin)) {
    if matches!(reading.fill_buf().await, Ok(next) if !next.is_empty()) {
        // The next request has come already.
        pending::<()>().await;
    }
}

fn line(reply: &Reply) -> Vec<u8> {
    // Nothing in a reply can fail to be JSON.
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    line
}

async fn answer(request: Request, serving: &Serving) -> Result<Value> {
    match request {
        Request::Status => Ok(json!(serving.record())),
        Request::Statistics => Ok(json!(serving.statistics())),
        Request::Reload => {
            serving.remote.retry();
            Ok(Value::Null)
        }
        Request::Flush => serving.save().await.map(|()| Value::Null),
        Request::Log { filter } => crate::log::change(&filter).map(|()| Value::Null),
        Request::Unmount { lazy } => serving.unmount(lazy).await.map(|()| Value::Null),
    }
}
