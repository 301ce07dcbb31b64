//! Walks a tree, one directory's entries as a stream: `walk [PATH]`.

mod common;

use futures::TryStreamExt;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let mut todo = vec![common::argument(1, "PATH").unwrap_or_default()];
    let (mut files, mut bytes) = (0, 0);
    while let Some(path) = todo.pop() {
        let mut entries = share.open_dir(&path).await?.entries();
        while let Some(entry) = entries.try_next().await? {
            let child = format!("{path}/{}", entry.name).trim_start_matches('/').to_owned();
            if entry.metadata.is_dir() {
                todo.push(child);
            } else {
                files += 1;
                bytes += entry.metadata.size;
            }
        }
    }
    println!("{files} files, {bytes} bytes");
    Ok(())
}
