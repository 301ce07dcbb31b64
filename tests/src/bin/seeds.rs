//! Captures what a real server says, as seeds for the fuzz targets: `seeds DIRECTORY`, or `make seeds`.
//!
//! The sessions are a guest's, which nobody signs or encrypts, so the messages can be read; the targets put them
//! under keys of their own.

#[cfg(unix)]
fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(unix::run());
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::path::{Path, PathBuf};

    use bytes::Bytes;
    use sharefs_tests::{Relay, Samba};
    use smb_client::wire::{Command, HEADER_LEN, Header, Response, frame_length, split_compound};
    use smb_client::{Client, Dialect, OpenOptions};

    /// Steps of the target `stream`, and what its client can ask.
    const ANSWER: u8 = 3;
    const ASK: u8 = 7;
    /// What the target `connection` can give of a frame.
    const LONGEST_FRAME: usize = 510;

    pub(super) async fn run() {
        let directory = PathBuf::from(std::env::args_os().nth(1).expect("where to put the seeds"));
        for dialect in [Dialect::Smb210, Dialect::Smb311] {
            let frames = capture(dialect).await;
            write(&directory, dialect, &frames);
        }
    }

    /// The frames of a session that does a little of everything.
    async fn capture(dialect: Dialect) -> Vec<Bytes> {
        let samba = Samba::builder().guest().dialects(dialect, dialect).start();
        let relay = Relay::start(samba.socket()).await;
        relay.record();
        let options = samba
            .options()
            .host(relay.address().to_string())
            .port(relay.port())
            .credentials(samba.credentials_as("", "nosuchuser", ""))
            .allow_guest(true);
        let client = Client::connect(&options).await.expect("a guest's session");
        let share = client.share("open").await.expect("the share");
        share.create_dir("folder").await.expect("mkdir");
        let file = share.open("folder/file", &OpenOptions::write()).await.expect("open");
        file.write_at(0, Bytes::from_static(b"some content")).await.expect("write");
        file.read_at(0, 100).await.expect("read");
        file.flush().await.expect("flush");
        file.set_len(5).await.expect("set_len");
        file.metadata().await.expect("metadata");
        file.close().await.expect("close");
        share.metadata("folder/file").await.expect("metadata");
        share.metadata("none").await.expect_err("there is none");
        share.open_dir("folder").await.expect("opendir").all_entries().await.expect("entries");
        share.space().await.expect("space");
        share.rename("folder/file", "folder/other", false).await.expect("rename");
        share.remove_file("folder/other").await.expect("unlink");
        client.share("none").await.expect_err("there is none");
        client.logoff().await.expect("logoff");
        split(&relay.recorded())
    }

    fn split(mut stream: &[u8]) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while let Some((prefix, rest)) = stream.split_first_chunk() {
            let length = frame_length(*prefix).expect("a frame");
            let Some((frame, rest)) = rest.split_at_checked(length) else { break };
            frames.push(Bytes::copy_from_slice(frame));
            stream = rest;
        }
        frames
    }

    fn write(directory: &Path, dialect: Dialect, frames: &[Bytes]) {
        let mut connection = vec![if dialect == Dialect::Smb311 { 7 } else { 3 }];
        let mut stream = Vec::new();
        for frame in frames {
            if frame.len() <= LONGEST_FRAME {
                connection.extend([u8::try_from(frame.len().div_ceil(2)).unwrap_or(u8::MAX), 1]);
                connection.extend_from_slice(frame);
                connection.resize(connection.len() + frame.len() % 2, 0);
            }
            for (header, message) in split_compound(frame).expect("a server's frame") {
                tokens(directory, dialect, &header, &message);
                let steps = asked_and_answered(&header, &message);
                // Signed and encrypted, and short, since what is short is tried most often.
                for how in [0x01, 0x03, 0x23].into_iter().filter(|_| !steps.is_empty()) {
                    let seed = [&[how], &steps[..]].concat();
                    let name =
                        format!("{:?}-{}-{}-{how:02x}", header.command, dialect as u16, header.message_id);
                    put(directory, "stream", &name.to_lowercase(), &seed);
                }
                stream.extend(steps);
            }
        }
        put(directory, "connection", &format!("session-{}", dialect as u16), &connection);
        for how in [0x00, 0x22, 0x03] {
            let seed = [&[how], &stream[..]].concat();
            put(directory, "stream", &format!("session-{}-{how:02x}", dialect as u16), &seed);
        }
    }

    /// A question of that kind, and this as its answer.
    fn asked_and_answered(header: &Header, message: &Bytes) -> Vec<u8> {
        let kind = match header.command {
            Command::Echo => 0,
            Command::Create => 1,
            Command::Read => 3,
            Command::QueryDirectory => 4,
            Command::ChangeNotify => 5,
            Command::TreeConnect => 6,
            Command::QueryInfo => 7,
            _ => return Vec::new(),
        };
        let body = &message[HEADER_LEN..];
        let quarters = body.len().div_ceil(4);
        let Ok(length) = u8::try_from(quarters) else { return Vec::new() };
        let mut steps = vec![ASK, kind, ANSWER, length];
        steps.extend_from_slice(body);
        steps.resize(4 + quarters * 4, 0);
        steps
    }

    /// Security tokens, which the target `auth` takes bare.
    fn tokens(directory: &Path, dialect: Dialect, header: &Header, message: &Bytes) {
        if !Response::carries_body(header.command, smb_client::NtStatus(header.status)) {
            return;
        }
        let token = match Response::decode(header.command, message) {
            Ok(Response::Negotiate(body)) => body.token,
            Ok(Response::SessionSetup(body)) => body.token,
            _ => return,
        };
        let name = format!("token-{}-{}", dialect as u16, header.message_id);
        put(directory, "auth", &name, &token);
        // What SPNEGO has around the challenge goes too.
        if let Some(at) = token.windows(8).position(|window| window == b"NTLMSSP\0") {
            put(directory, "auth", &format!("{name}-bare"), &token[at..]);
        }
    }

    fn put(directory: &Path, target: &str, name: &str, bytes: &[u8]) {
        let directory = directory.join(target);
        std::fs::create_dir_all(&directory).expect("the seeds' directory");
        std::fs::write(directory.join(name), bytes).expect("a seed");
    }
}
