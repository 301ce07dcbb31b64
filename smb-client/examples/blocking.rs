//! Without async: copies standard input to a file and reads it back: `blocking PATH`.

mod common;

use std::io::{self, Read, Seek};

use smb_client::{CreateDisposition, OpenOptions, blocking};

fn main() -> common::Result<()> {
    let client = blocking::Client::connect(&common::options()?)?;
    let share = client.share(&std::env::var("SMB_SHARE")?)?;
    let options = OpenOptions::write().disposition(CreateDisposition::OverwriteIf);
    let mut file = share.open(&common::argument(1, "PATH")?, &options)?;
    let written = io::copy(&mut io::stdin(), &mut file)?;
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("{written} bytes written, {} read", text.len());
    file.close()?;
    Ok(())
}
