//! The way to the server: its name's addresses, and whether they take connections.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use serde_json::json;
use smb_client::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use crate::codes::{self, NAME_UNRESOLVED};
use crate::credentials::is_azure;

/// More addresses than these are not tried: a name server may say what it likes.
const MOST: usize = 8;
/// Where a machine listens that is reached by web browsers, if by nobody else.
const HTTPS: u16 = 443;

/// Finds the addresses.
pub(crate) async fn resolve(patient: &Patient, report: &mut Report) -> Vec<IpAddr> {
    let host = patient.source.host.trim_matches(['[', ']']);
    if let Some(address) = patient.options.ip {
        report.add(Check::passed(Group::Dns, "addresses", format!("{address}, as ip= says")));
        return vec![address];
    }
    if let Ok(address) = host.parse() {
        report.add(Check::passed(Group::Dns, "addresses", format!("{address} is an address already")));
        return vec![address];
    }
    let found = timeout(patient.patience, lookup_host((host, patient.port()))).await;
    let addresses: Vec<IpAddr> = match found {
        Ok(Ok(addresses)) => {
            let mut all: Vec<IpAddr> = Vec::new();
            for address in addresses.map(|address| address.ip()) {
                if !all.contains(&address) && all.len() < MOST {
                    all.push(address);
                }
            }
            all
        }
        Ok(Err(error)) => {
            let error = Error::Resolve { host: host.into(), error: Arc::new(error) };
            report.add(Check::failed(Group::Dns, "addresses", &NAME_UNRESOLVED, error.to_string()));
            return Vec::new();
        }
        Err(_) => {
            let found = format!("the resolver did not answer within {} s", patient.patience.as_secs());
            report.add(Check::failed(Group::Dns, "addresses", &NAME_UNRESOLVED, found));
            return Vec::new();
        }
    };
    let alias = canonical(patient, host).await.filter(|name| !name.eq_ignore_ascii_case(host));
    let mut found = addresses.iter().map(|address| described(*address)).collect::<Vec<_>>().join(", ");
    if let Some(alias) = &alias {
        found.push_str(&format!("; an alias of {alias}"));
    }
    let mut lines = Vec::new();
    if is_azure(host) && !addresses.is_empty() {
        let private = addresses.iter().all(|address| is_private(*address));
        lines.push(match (private, alias.as_deref().is_some_and(|name| name.contains("privatelink"))) {
            (true, _) => "by a private endpoint: the account's firewall does not matter".into(),
            (false, true) => {
                "the account has a private endpoint, and this resolver leads past it to the public one".into()
            }
            (false, false) => {
                "by the public endpoint: the account's firewall has to let this network in".into()
            }
        });
    }
    let data = json!({ "addresses": addresses, "alias": alias });
    let check = if addresses.is_empty() {
        Check::failed(Group::Dns, "addresses", &NAME_UNRESOLVED, "the name has no address")
    } else {
        Check::passed(Group::Dns, "addresses", found)
    };
    report.add(check.lines(lines).data(data));
    addresses
}

fn described(address: IpAddr) -> String {
    if is_private(address) { format!("{address} (private)") } else { address.to_string() }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

/// What the name is an alias of in the end; the system's resolver tells no more of the chain.
async fn canonical(patient: &Patient, host: &str) -> Option<String> {
    let host = host.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("/usr/bin/getent");
        command.args(["ahosts", "--", &host]).stdin(Stdio::null()).stderr(Stdio::null());
        command.output().ok()
    });
    let output = timeout(patient.patience, asked).await.ok()?.ok()??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next()?.split_whitespace().nth(2).map(str::to_owned)
}

/// Tries all addresses at once; the first that takes a connection.
pub(crate) async fn reach(patient: &Patient, addresses: &[IpAddr], report: &mut Report) -> Option<IpAddr> {
    if addresses.is_empty() {
        report.add(Check::skipped(Group::Network, "tcp", "there is no address to connect to"));
        return None;
    }
    let port = patient.port();
    let tries =
        join_all(addresses.iter().map(|address| knock(patient, SocketAddr::new(*address, port)))).await;
    let reached = addresses.iter().zip(&tries).find(|(_, tried)| tried.is_ok()).map(|(address, _)| *address);
    for (address, tried) in addresses.iter().zip(tries) {
        let at = SocketAddr::new(*address, port);
        report.add(match tried {
            Ok(milliseconds) => {
                let found = format!("{at} takes a connection after {milliseconds:.1} ms");
                let data = json!({ "address": address, "port": port, "milliseconds": milliseconds });
                Check::passed(Group::Network, "tcp", found).data(data)
            }
            Err(error) => {
                let code = codes::of_client(&error);
                let check = match reached {
                    Some(_) => Check::warning(Group::Network, "tcp", code, error.to_string()),
                    None => Check::failed(Group::Network, "tcp", code, error.to_string()),
                };
                let other = SocketAddr::new(*address, HTTPS);
                if is_azure(&patient.source.host) && knock(patient, other).await.is_ok() {
                    let line = format!(
                        "port {HTTPS} is open there: what blocks port {port} is between here and Azure"
                    );
                    check.lines(vec![line])
                } else {
                    check
                }
            }
        });
    }
    reached
}

/// How many milliseconds a connection takes.
async fn knock(patient: &Patient, address: SocketAddr) -> Result<f64, Error> {
    let begin = Instant::now();
    match timeout(patient.patience, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(begin.elapsed().as_secs_f64() * 1e3),
        Ok(Err(error)) => Err(Error::Connect { address: address.to_string(), error: Arc::new(error) }),
        Err(_) => Err(Error::ConnectTimeout { address: address.to_string(), after: patient.patience }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told() {
        let private = |text: &str| is_private(text.parse().unwrap());
        assert!(private("10.1.2.3") && private("172.16.0.1") && private("fd00::1") && private("127.0.0.1"));
        assert!(!private("20.60.1.2") && !private("2603:1030::1"));
    }
}
