//! `watch`: what changes, a line each.

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use smb_client::{Share, WatchEvent, WatchFilter};

use crate::connect::Explain;
use crate::show::{printable, unless_broken_pipe};
use crate::signals::interrupt;
use crate::source::Source;

/// Tells of changes until it is interrupted.
pub(crate) async fn watch(share: &Share, source: &Source, recursive: bool, as_json: bool) -> Result<()> {
    let path = &source.path;
    let directory = share.open_dir(path).await.explain(source, path)?;
    let mut watch = directory.watch(WatchFilter::CONTENT, recursive).explain(source, path)?;
    tracing::info!("watching {}", printable(&source.to_string()));
    let end = interrupt();
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = &mut end => return Ok(()),
        };
        let Some(event) = event else {
            bail!("{} is not watched any more: the server has closed it", printable(&source.to_string()));
        };
        let event = event.explain(source, path)?;
        let line = if as_json { object(&event).to_string() } else { line(&event) };
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
            return unless_broken_pipe(error);
        }
    }
}

fn line(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Added(path) => format!("added    {}", printable(path)),
        WatchEvent::Removed(path) => format!("removed  {}", printable(path)),
        WatchEvent::Modified(path) => format!("modified {}", printable(path)),
        WatchEvent::Renamed { from, to } => format!("renamed  {} -> {}", printable(from), printable(to)),
        _ => "overflow more has changed than the server kept: look for yourself".into(),
    }
}

fn object(event: &WatchEvent) -> Value {
    match event {
        WatchEvent::Added(path) => json!({ "event": "added", "path": path }),
        WatchEvent::Removed(path) => json!({ "event": "removed", "path": path }),
        WatchEvent::Modified(path) => json!({ "event": "modified", "path": path }),
        WatchEvent::Renamed { from, to } => json!({ "event": "renamed", "from": from, "to": to }),
        _ => json!({ "event": "overflow" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = WatchEvent::Renamed { from: "a\nb".into(), to: "c\u{1b}".into() };
        assert_eq!(line(&event), "renamed  a?b -> c?");
        assert_eq!(object(&event).to_string(), r#"{"event":"renamed","from":"a\nb","to":"c\u001b"}"#);
    }
}
