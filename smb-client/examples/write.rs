//! Replaces a file's content by standard input: `write PATH`.

mod common;

use std::io::Read;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let mut content = Vec::new();
    std::io::stdin().read_to_end(&mut content)?;
    share.write(&common::argument(1, "PATH")?, content).await?;
    Ok(())
}
