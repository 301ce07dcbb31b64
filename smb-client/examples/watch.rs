//! Tells what changes in a directory: `watch PATH COUNT` ends after COUNT changes.

mod common;

use smb_client::WatchFilter;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let directory = share.open_dir(&common::argument(1, "PATH")?).await?;
    let mut watch = directory.watch(WatchFilter::ALL, true)?;
    println!("watching");
    for _ in 0..common::argument(2, "COUNT")?.parse::<usize>()? {
        match watch.next().await {
            Some(event) => println!("{:?}", event?),
            None => break,
        }
    }
    Ok(())
}
