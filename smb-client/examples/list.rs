//! Lists a directory: `list [PATH]`.

mod common;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    for entry in share.read_dir(&common::argument(1, "PATH").unwrap_or_default()).await? {
        let kind = if entry.metadata.is_dir() { "dir " } else { "file" };
        println!("{kind} {:>12} {}", entry.metadata.size, entry.name);
    }
    Ok(())
}
