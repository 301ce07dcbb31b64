//! Many small files at once over one connection: `concurrent DIRECTORY COUNT`.

mod common;

use futures::stream::{self, StreamExt, TryStreamExt};

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let directory = common::argument(1, "DIRECTORY")?;
    let count: usize = common::argument(2, "COUNT")?.parse()?;
    share.create_dir(&directory).await?;
    let (share, directory) = (&share, &directory);
    stream::iter(0..count)
        .map(|i| async move { share.write(&format!("{directory}/{i}"), format!("file {i}\n")).await })
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await?;
    println!("{} files", share.read_dir(directory).await?.len());
    Ok(())
}
